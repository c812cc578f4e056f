// hinoki data speech: recordings to speech shards.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <memory>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/parallel.h"
#include "data/speech_prepare.h"
#include "data/speech_report.h"
#include "data/speech_shard.h"
#include "train/commands.h"
#include "train/run_lock.h"

namespace hinoki {
namespace {

void print_speech_split(const char* name, const SpeechSplitReport& s) {
  std::printf("%-11s %.3f hours, %lld utterances, %lld with a transcript, %lld with kana, %lld shards\n", name,
              seconds_of(s.samples) / 3600, Count(s.utterances), Count(s.transcribed), Count(s.kana), Count(s.shards));
}

void print_speech_report(const SpeechReport& r, const SpeechPreparation& settings, double seconds) {
  const double speech = seconds_of(r.samples()), silence = seconds_of(r.silent_samples);
  if (r.reused)
    std::printf("%s already holds this corpus (same settings, same inputs)\n", settings.output.c_str());
  else
    std::printf("read        %lld utterances in %.2f s: %.0f times real time, %.0f a thread (%d threads)\n",
                Count(r.named), seconds, speech / seconds, speech / seconds / settings.threads, settings.threads);
  std::printf("left out    %s (rejects.tsv names them)\n", left_out_text(r).c_str());
  std::printf(
      "converted   %lld resampled to 16 kHz, %lld mixed down to one channel, %lld from 8 bits; %lld samples clipped\n",
      Count(r.resampled), Count(r.downmixed), Count(r.eight_bit), Count(r.clipped_samples));
  std::printf("silence     %.1f s inside what was kept, %.1f %% of it\n", silence, 100 * silence / speech);
  print_speech_split("train", r.train);
  print_speech_split("validation", r.validation);
  if (silence > speech / 2)
    warn("more than half of the speech is silence (below ", settings.limits.silence_dbfs,
         " dB of full scale): is it recorded too quietly, or uncut?");
}

void prepare_recordings(SpeechPreparation& settings) {
  settings.threads = pool().threads();
  make_directory(settings.output.string());
  const RunLock lock(settings.output.string());
  const double begun = steady_seconds();
  const SpeechReport report = prepare_speech(settings);
  print_speech_report(report, settings, steady_seconds() - begun);
}

}  // namespace

void add_data_speech_command(CLI::App& data) {
  CLI::App* speech =
      data.add_subcommand("speech", "Recordings to speech shards: check, convert to 16 kHz and one channel, split");
  auto settings = std::make_shared<SpeechPreparation>();
  speech
      ->add_option("--input", settings->inputs,
                   "A folder or file of WAV, FLAC or OGG, a Kaldi folder, or a manifest: .tsv, .jsonl, .scp "
                   "(docs/formats.md)")
      ->type_name("PATH")
      ->required();
  speech->add_option("--output", settings->output, "The folder for shards, rejects.tsv and prepare.json")
      ->type_name("FOLDER")
      ->required();
  const std::map<std::string, OnFault> faults{{"fail", OnFault::fail}, {"skip", OnFault::skip}};
  speech
      ->add_option("--faults", settings->on_fault,
                   "What to do with recordings and lines that are broken: fail, or skip and count them (default: fail)")
      ->transform(CLI::CheckedTransformer(faults).description(""))
      ->type_name("NAME");
  speech->add_option("--min-seconds", settings->limits.min_seconds, "Leave out utterances of fewer seconds")
      ->capture_default_str();
  speech->add_option("--max-seconds", settings->limits.max_seconds, "Leave out utterances of more seconds")
      ->capture_default_str();
  speech
      ->add_option("--silence-dbfs", settings->limits.silence_dbfs,
                   "Leave utterances out of which no 20 ms are louder (RMS, dB of full scale)")
      ->capture_default_str();
  speech
      ->add_option("--validation-fraction", settings->validation_fraction,
                   "Share of utterances that goes to validation, by the hash of their sound")
      ->capture_default_str();
  speech->add_option("--shard-samples", settings->shard_samples, "Samples, at 16 kHz, after which a new shard begins")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  speech->add_flag("--overwrite", settings->overwrite, "Replace a finished corpus that was made otherwise");
  speech->callback([settings] { prepare_recordings(*settings); });
}

}  // namespace hinoki
