// hinoki transcribe: what is said in recordings, by a fine-tuned model of speech.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <map>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "data/audio_file.h"
#include "data/speech_source.h"
#include "train/commands.h"
#include "train/progress.h"
#include "train/transcriber.h"

namespace hinoki {
namespace {

namespace fs = std::filesystem;

enum class Format { text, json, srt };

struct TranscribeOptions {
  std::string model;
  std::vector<fs::path> inputs;
  TranscriberOptions transcriber;
  Format format = Format::text;
  std::string output;
  Placement where;
};

// A recording, and what its text is called below --output.
struct Job {
  SpeechEntry entry;
  fs::path name;
};

std::vector<Job> list_jobs(const TranscribeOptions& o) {
  constexpr const char* kEndings[] = {".txt", ".json", ".srt"};
  std::vector<Job> jobs;
  std::map<fs::path, fs::path> named;
  const auto add = [&](const fs::path& input, SpeechEntry entry) {
    const fs::path relative = entry.path.lexically_relative(input);
    fs::path name =
        fs::is_directory(input) && !relative.empty() && *relative.begin() != ".." ? relative : entry.path.filename();
    name.replace_extension(kEndings[int(o.format)]);
    const auto [at, fresh] = named.emplace(name, entry.path);
    require<Exit::usage>(fresh || o.output.empty() || entry.error, "the texts of ", at->second, " and ", entry.path,
                         " would both be ", name, " in ", o.output, "; transcribe them into different folders");
    jobs.push_back({std::move(entry), std::move(name)});
  };
  for (const fs::path& input : o.inputs) {
    try {
      SpeechSource source({input});
      while (auto entry = source.next()) add(input, std::move(*entry));
    } catch (const Error& e) {  // the others are there
      if (e.code != Exit::data) throw;
      add(input,
          {.place = input.string(), .path = input, .texts = {}, .error = SpeechError(SpeechFault::missing, e.what())});
    }
  }
  require<Exit::data>(!jobs.empty(),
                      "there is no sound in what was given: .wav, .flac, .ogg, .oga and .opus are looked for");
  return jobs;
}

// On a terminal a bar on one line that moves with the bytes of the files; elsewhere a line at the end.
class Bar {
 public:
  explicit Bar(const std::vector<Job>& jobs) : files_(jobs.size()) {
    for (const Job& job : jobs) bytes_.push_back(size_of_file(job.entry.path)), all_ += bytes_.back();
  }
  void at(size_t job, double share, double seconds_heard) {
    if (!terminal_) return;
    double done = share * bytes_[job];
    for (size_t i = 0; i < job; ++i) done += bytes_[i];
    const double part = all_ > 0 ? done / all_ : 1, gone = elapsed();
    constexpr int kWidth = 30;
    std::string bar(size_t(part * kWidth), '#');
    bar.resize(kWidth, '.');
    char line[200];
    std::snprintf(line, sizeof line, "[%s] %3.0f %%  file %zu/%zu  %s of sound, %.1fx real time, eta %s", bar.c_str(),
                  100 * part, job + 1, files_, duration(seconds_heard).c_str(), seconds_heard / std::max(gone, 1e-3),
                  duration(part > 0 ? gone * (1 - part) / part : 0).c_str());
    show_live(line);
  }
  double elapsed() const { return steady_seconds() - begun_; }

 private:
  static double size_of_file(const fs::path& path) {
    std::error_code error;
    const auto bytes = fs::file_size(path, error);
    return error ? 0 : double(bytes);
  }

  const size_t files_;
  std::vector<double> bytes_;
  double all_ = 0;
  const bool terminal_ = isatty(STDERR_FILENO);
  const double begun_ = steady_seconds();
};

std::vector<float> read_sound(const SpeechEntry& entry, double least_seconds) {
  if (entry.error) throw *entry.error;
  // Nothing is too silent to be tried; 12 hours fit into memory.
  const Audio audio =
      read_audio(entry.path, {.min_seconds = least_seconds, .max_seconds = 12 * 3600.0, .silence_dbfs = -INFINITY});
  if (count_silent(audio.samples, AudioLimits{}.silence_dbfs) == int64_t(audio.samples.size()))
    warn(entry.place, ": is silent: nothing of it reaches ", AudioLimits{}.silence_dbfs, " dB of full scale");
  std::vector<float> samples(audio.samples.size());
  std::transform(audio.samples.begin(), audio.samples.end(), samples.begin(),
                 [](int16_t s) { return float(s) / 32768; });
  return samples;
}

std::string as_asked(const Transcript& transcript, const Job& job, const TranscribeOptions& o, bool alone) {
  if (o.format == Format::json) return as_json(transcript, job.entry.path.string());
  if (o.format == Format::srt) return as_srt(transcript);
  if (alone || !o.output.empty()) return as_text(transcript);
  return say(job.entry.path.string(), "\t", transcript.text(), "\n");
}

void write_transcript(const std::string& text, const Job& job, const TranscribeOptions& o) {
  if (o.output.empty()) {
    std::cout << text << std::flush;
    return;
  }
  const fs::path path = fs::path(o.output) / job.name;
  fs::create_directories(path.parent_path());
  write_file_durably(path.string(), text);
}

void transcribe(const TranscribeOptions& o) {
  const std::vector<Job> jobs = list_jobs(o);
  require<Exit::usage>(o.format != Format::srt || !o.output.empty() || jobs.size() == 1, "cues of ", jobs.size(),
                       " recordings do not go into one SRT text; give --output DIR");
  const Transcriber transcriber(o.model, o.where, o.transcriber);
  Bar bar(jobs);
  double heard = 0;
  size_t failed = 0;
  const auto fault = [&](const Job& job, const std::string& why) {
    ++failed;
    warn(job.entry.place, ": ", why);
  };
  for (size_t i = 0; i < jobs.size(); ++i) {
    const Job& job = jobs[i];
    bar.at(i, 0, heard);
    try {
      const std::vector<float> samples = read_sound(job.entry, transcriber.least_seconds());
      const double seconds = seconds_of(int64_t(samples.size()));
      const Transcript transcript =
          transcriber(samples, [&](double share) { bar.at(i, share, heard + share * seconds); });
      heard += seconds;
      clear_live();  // stdout may be the same terminal
      write_transcript(as_asked(transcript, job, o, jobs.size() == 1), job, o);
    } catch (const SpeechError& e) {
      fault(job, e.what());
    } catch (const Error& e) {
      if (e.code != Exit::data && e.code != Exit::numerical) throw;
      fault(job, e.what());
    }
  }
  inform(jobs.size() - failed, " of ", jobs.size(), " recordings, ", duration(heard), " of sound in ",
         duration(bar.elapsed()));
  require<Exit::data>(failed == 0, failed, " of ", jobs.size(),
                      " recordings could not be transcribed; they are named above");
}

}  // namespace

void add_transcribe_command(CLI::App& app) {
  auto* command = app.add_subcommand("transcribe", "Write down what is said in recordings");
  auto o = std::make_shared<TranscribeOptions>();
  command->add_option("model", o->model, "Snapshot of recipe ctc, or a HubertForCTC folder of Hugging Face")
      ->type_name("FOLDER")
      ->required();
  command
      ->add_option("input", o->inputs,
                   "Sounds (WAV, FLAC, OGG), folders of them, or manifests (.tsv, .jsonl, .scp: docs/formats.md)")
      ->type_name("PATH")
      ->required();
  command->add_option("--beam", o->transcriber.beam, "Beginnings of text that a prefix beam search keeps; 0: greedy")
      ->check(CLI::Range(0, 10000))
      ->capture_default_str();
  const std::map<std::string, Format> formats{{"text", Format::text}, {"json", Format::json}, {"srt", Format::srt}};
  command->add_option("--format", o->format, "text, json (characters and their times) or srt (default: text)")
      ->transform(CLI::CheckedTransformer(formats).description(""))
      ->type_name("NAME");
  command->add_option("--output", o->output, "Folder for a file for each recording; else everything is printed")
      ->type_name("FOLDER");
  command->add_option("--window", o->transcriber.window_seconds, "Seconds that are heard together")
      ->check(CLI::Range(1.0, 600.0))
      ->capture_default_str();
  command
      ->add_option("--margin", o->transcriber.margin_seconds,
                   "Seconds at a window's borders that are taken from its neighbours")
      ->check(CLI::Range(0.0, 60.0))
      ->capture_default_str();
  add_placement_options(*command, o->where);
  command->callback([o] { transcribe(*o); });
}

}  // namespace hinoki
