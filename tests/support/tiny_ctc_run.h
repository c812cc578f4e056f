// A recogniser small enough for unit tests: made-up speech in which every vowel is a sound of its own, its transcripts
// and a config, in a temporary folder.
#pragma once
#include <cmath>

#include "data/speech_shard.h"
#include "tests/support/temporary_folder.h"
#include "train/ctc_task.h"

namespace hinoki::test {

// What utterance `n` says: three to six of these, never one twice in a row.
inline std::vector<int> vowels_of(uint64_t n) {
  std::vector<int> vowels;
  for (uint64_t i = 0; i < 3 + n % 4; ++i) {
    const int drawn = int(philox({.seed = 5, .site = n}, i)[0] % 5);
    vowels.push_back(!vowels.empty() && vowels.back() == drawn ? (drawn + 1) % 5 : drawn);
  }
  return vowels;
}

inline std::string text_of(const std::vector<int>& vowels) {
  constexpr const char* kNames[] = {"あ", "い", "う", "え", "お"};
  std::string text;
  for (const int v : vowels) text += kNames[v];
  return text;
}

// 160 ms a vowel, with noise.
inline std::vector<int16_t> sound_of(const std::vector<int>& vowels, uint64_t n) {
  constexpr double kHertz[5][2] = {{240, 2400}, {320, 1900}, {500, 1500}, {730, 1090}, {300, 870}};
  std::vector<int16_t> x(vowels.size() * 2560);
  double phase[2] = {0, 0};
  for (size_t i = 0; i < x.size(); ++i) {
    for (int k = 0; k < 2; ++k) phase[k] += 2 * M_PI * kHertz[vowels[i / 2560]][k] / double(kSampleRate);
    const double noise = double(unit_float(philox({.seed = 6, .site = n}, i)[0])) - 0.5;
    x[i] = int16_t(6000 * std::sin(phase[0]) + 4000 * std::sin(phase[1]) + 400 * noise);
  }
  return x;
}

inline void write_vowel_corpus(const std::filesystem::path& folder, int64_t train = 300, int64_t validation = 8) {
  std::filesystem::create_directories(folder);
  const auto write = [&](const char* split, uint64_t first, int64_t count) {
    SpeechShardWriter writer(speech_shard_path(folder, split, 0), split);
    for (uint64_t n = first; n < first + uint64_t(count); ++n)
      writer.append(sound_of(vowels_of(n), n), {say("speaker/", n), text_of(vowels_of(n)), ""});
    writer.publish();
  };
  write("train", 0, train);
  write("validation", 1000, validation);
}

struct TinyCtcRun {
  TemporaryFolder folder;
  CtcConfig config;  // of 12 steps, with dropout, LayerDrop, masks, frozen stages and accumulation on

  TinyCtcRun() {
    write_vowel_corpus(folder / "speech");
    // Four convolutions that hear 400 samples every 320, as the seven of real models do.
    config.model = {.hidden_size = 24,
                    .num_hidden_layers = 2,
                    .num_attention_heads = 2,
                    .intermediate_size = 48,
                    .conv_dim = {8, 8, 8, 12},
                    .conv_kernel = {10, 11, 6, 4},
                    .conv_stride = {5, 4, 4, 4},
                    .num_conv_pos_embeddings = 8,
                    .num_conv_pos_embedding_groups = 4,
                    .layerdrop = 0.2};
    config.freeze_encoder_steps = 4;
    config.mask = {.probability = 0.3, .length = 3, .min_spans = 1};
    config.channel_mask = {.probability = 0.2, .length = 4, .min_spans = 1};
    config.data = {.corpus = (folder / "speech").string(), .max_seconds = 1};
    config.train = {.steps = 12, .batch = 2, .micro_batches = 4, .seed = 11, .reduction_slots = 4};
    config.learning_rate = {.peak = 5e-3, .floor = 2.5e-4, .start = 5e-5, .warmup = 4, .decay = Decay::exponential};
    config.log.evaluate_sequences = 5;
    config.run = (folder / "run").string();
  }
  CtcConfig in(const std::string& run) const {
    CtcConfig other = config;
    other.run = (folder / run).string();
    return other;
  }
  // One that learns to spell: nothing is frozen, dropped or masked.
  CtcConfig learning(const std::string& run) const {
    CtcConfig c = in(run);
    c.model.layerdrop = c.model.hidden_dropout = c.model.activation_dropout = 0;
    c.model.attention_dropout = c.model.final_dropout = 0;
    c.model.do_stable_layer_norm = true;
    c.freeze_extractor = false;
    c.freeze_encoder_steps = 0;
    c.mask.probability = c.channel_mask.probability = 0;
    c.train = {.steps = 240, .batch = 8, .micro_batches = 1, .seed = 3};
    c.learning_rate = {
        .peak = 5e-3, .floor = 2.5e-4, .start = 5e-5, .warmup = 15, .hold = 140, .decay = Decay::exponential};
    c.log.evaluate_sequences = 0;
    return c;
  }
};

}  // namespace hinoki::test
