// Recordings to speech shards: read, check, convert, split, write. Memory is flat for any number of them, and the bytes
// written depend on the input and the settings alone: not on threads, not on a run that was killed before.
#pragma once
#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "data/audio_file.h"
#include "data/speech_fault.h"

namespace hinoki {

enum class OnFault { fail, skip };

struct SpeechPreparation {
  std::vector<std::filesystem::path> inputs;  // data/speech_source.h
  std::filesystem::path output;
  AudioLimits limits = {};
  OnFault on_fault = OnFault::fail;   // rejects (silent, too short, too long) are always left out
  double validation_fraction = 0.01;  // of the utterances, by the hash of their samples
  int64_t shard_samples = 256 << 20;  // 4.7 hours, 512 MiB
  int threads = 1;
  bool overwrite = false;  // a finished corpus
};

struct SpeechSplitReport {
  int64_t shards = 0, utterances = 0, samples = 0, transcribed = 0, kana = 0;
};

struct SpeechReport {
  int64_t named = 0;                                     // utterances in the inputs
  std::array<int64_t, kSpeechFaults.size()> left_out{};  // of them, by SpeechFault
  int64_t resampled = 0, downmixed = 0, eight_bit = 0;   // utterances
  int64_t clipped_samples = 0;
  int64_t silent_samples = 0;  // inside utterances that were kept
  SpeechSplitReport train, validation;
  bool reused = false;  // the output was already made from the same inputs with the same settings

  int64_t utterances() const { return train.utterances + validation.utterances; }
  int64_t samples() const { return train.samples + validation.samples; }
};

// Leaves train-00000.h5 ..., validation-00000.h5 ..., rejects.tsv (place, path, fault, reason of all that was left out)
// and, last, prepare.json in the output folder.
SpeechReport prepare_speech(const SpeechPreparation& settings);

}  // namespace hinoki
