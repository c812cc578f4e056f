// A pretraining of HuBERT small enough for unit tests: made-up speech, its labels and a config, in a temporary folder.
#pragma once
#include "data/label_prepare.h"
#include "tests/support/spoken_corpus.h"
#include "tests/support/temporary_folder.h"
#include "train/hubert_task.h"

namespace hinoki::test {

struct TinyHubertRun {
  TemporaryFolder folder;
  HubertConfig config;  // of 12 steps, with dropout, LayerDrop and accumulation on

  TinyHubertRun() {
    write_spoken_corpus(folder / "speech");
    label("labels", 12);
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
                    .feat_proj_dropout = 0.1,
                    .layerdrop = 0.2};
    config.targets = {.classes = 12, .final_dim = 16};
    config.data = {.corpus = (folder / "speech").string(),
                   .labels = (folder / "labels").string(),
                   .crop_seconds = 0.8,
                   .min_seconds = 0.5};
    config.mask.length = 4;
    config.train = {.steps = 12, .batch = 2, .micro_batches = 4, .seed = 11, .reduction_slots = 4};
    config.learning_rate = {.peak = 5e-3, .warmup = 4, .decay = Decay::linear};
    config.log.evaluate_sequences = 5;
    config.run = (folder / "run").string();
  }

  void label(const std::string& name, int64_t clusters) const {
    const SpeechCorpus corpus(folder / "speech", "train");
    const auto open = [](const SpeechCorpus& c) { return open_features("mfcc", c); };
    const std::filesystem::path book = folder / (name + ".codebook.h5");
    write_codebook(book, codebook_of(*open(corpus), clusters));
    prepare_labels({.corpus = folder / "speech", .codebook = book, .output = folder / name, .features = open});
  }
  HubertConfig in(const std::string& run) const {
    HubertConfig other = config;
    other.run = (folder / run).string();
    return other;
  }
};

}  // namespace hinoki::test
