#include "data/speech_prepare.h"

#include <chrono>
#include <cmath>

#include "core/base/check.h"
#include "core/base/file.h"
#include "core/base/in_quotes.h"
#include "core/base/log.h"
#include "data/ordered_work.h"
#include "data/prepare_report.h"
#include "data/publish.h"
#include "data/speech_report.h"
#include "data/speech_shards_writer.h"
#include "data/speech_source.h"
#include "data/token_shard.h"

namespace hinoki {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRejects = "rejects.tsv";

// What became of an entry.
struct Made {
  SpeechEntry entry;
  Audio audio;
  bool validation = false;
};

// By the samples alone: a recording that is named twice is never on both sides.
bool falls_to_validation(const std::vector<int16_t>& samples, double fraction) {
  const Hash128 hash = hash128(samples.data(), samples.size() * sizeof(int16_t));
  return double(hash.high >> 11) * 0x1p-53 < fraction;
}

Made read_utterance(SpeechEntry&& entry, const SpeechPreparation& settings) {
  Made made{.entry = std::move(entry), .audio = {}};
  if (made.entry.error) return made;
  try {
    made.audio = read_audio(made.entry.path, settings.limits);
    made.validation = falls_to_validation(made.audio.samples, settings.validation_fraction);
  } catch (const SpeechError& e) {
    made.entry.error = e;
  }
  return made;
}

// One field of rejects.tsv.
std::string field(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  return text;
}

class SpeechPreparing {
 public:
  explicit SpeechPreparing(const SpeechPreparation& settings)
      : settings_(settings),
        train_(settings.output, "train", settings.shard_samples),
        validation_(settings.output, "validation", settings.shard_samples),
        rejects_(FileWriter::create(temporary_name(settings.output / kRejects).string())) {}

  SpeechReport run() {
    SpeechSource source(settings_.inputs);
    OrderedWork<SpeechEntry, Made> work;
    work.next = [&] { return source.next(); };
    work.work = [&](SpeechEntry&& entry) { return read_utterance(std::move(entry), settings_); };
    work.take = [&](Made&& made) { take(made); };
    work.run(settings_.threads);
    require<Exit::data>(train_.utterances() > 0, "no speech for training was left of ", report_.named,
                        " utterances; left out: ", left_out_text(report_),
                        "; for validation: ", validation_.utterances());
    train_.finish();
    validation_.finish();
    rejects_.close();
    publish(settings_.output / kRejects);
    report_.train = report_of(train_);
    report_.validation = report_of(validation_);
    if (settings_.validation_fraction > 0 && report_.validation.utterances == 0)
      warn("none of the ", report_.utterances(), " utterances fell to validation; raise --validation-fraction");
    return report_;
  }

 private:
  static SpeechSplitReport report_of(const SpeechShardsWriter& w) {
    return {.shards = w.shards(),
            .utterances = w.utterances(),
            .samples = w.samples(),
            .transcribed = w.transcribed(),
            .kana = w.with_kana()};
  }

  void take(const Made& made) {
    ++report_.named;
    if (made.entry.error) return leave_out(made.entry);
    const Audio& audio = made.audio;
    report_.resampled += audio.resampled;
    report_.downmixed += audio.downmixed;
    report_.eight_bit += audio.eight_bit;
    report_.clipped_samples += audio.clipped_samples;
    report_.silent_samples += audio.silent_samples;
    (made.validation ? validation_ : train_).append(audio.samples, made.entry.texts);
    show_progress();
  }

  void leave_out(const SpeechEntry& entry) {
    const SpeechFault fault = entry.error->fault;
    const std::string path = entry.path.string(),
                      where = path.empty() || path == entry.place ? "" : " " + in_quotes(path);
    require<Exit::data>(settings_.on_fault == OnFault::skip || is_reject(fault), entry.place, ":", where, " ",
                        entry.error->what(), " (", name_of(fault),
                        "); mend it, or leave all such recordings out with --faults skip");
    ++report_.left_out[size_t(fault)];
    rejects_.write(
        say(field(entry.place), "\t", field(path), "\t", name_of(fault), "\t", field(entry.error->what()), "\n"));
  }

  void show_progress() {
    const auto now = std::chrono::steady_clock::now();
    if (now - said_ < std::chrono::seconds(5)) return;
    said_ = now;
    const double seconds = std::chrono::duration<double>(now - begun_).count();
    const double speech = seconds_of(train_.samples() + validation_.samples());
    inform("reading speech: ", std::round(speech / 36) / 100, " hours of ",
           train_.utterances() + validation_.utterances(), " utterances, ", int64_t(speech / seconds),
           " times real time");
  }

  const SpeechPreparation& settings_;
  SpeechShardsWriter train_, validation_;
  FileWriter rejects_;
  SpeechReport report_;
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now(), said_ = begun_;
};

}  // namespace

SpeechReport prepare_speech(const SpeechPreparation& settings) {
  const AudioLimits& limits = settings.limits;
  require<Exit::usage>(settings.validation_fraction >= 0 && settings.validation_fraction < 1,
                       "the validation fraction is ", settings.validation_fraction, "; it must be in [0, 1)");
  require<Exit::usage>(
      limits.min_seconds >= 0 && limits.min_seconds <= limits.max_seconds && limits.max_seconds <= 3600,
      "utterances of ", limits.min_seconds, " to ", limits.max_seconds,
      " s are asked for; from 0 to 3600 s can be, the shortest first");
  require<Exit::usage>(std::isfinite(limits.silence_dbfs) && limits.silence_dbfs < 0, "silence is below ",
                       limits.silence_dbfs, " dB of full scale; it must be a negative number");
  require<Exit::usage>(settings.threads > 0, "reading speech needs at least one thread");
  const std::string described = speech_settings_json(settings, hash_speech_inputs(settings.inputs));
  if (!settings.overwrite)
    if (const auto before = finished_speech_report(settings.output, described)) return *before;
  begin_output(settings.output, "hinoki data speech");
  const SpeechReport report = SpeechPreparing(settings).run();
  write_file_durably((settings.output / kPrepareReport).string(), speech_report_json(described, report));
  fs::remove(settings.output / kUnfinished);
  return report;
}

}  // namespace hinoki
