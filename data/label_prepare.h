// A speech corpus and a codebook to labels, in one pass: features are made, given to their clusters, and forgotten.
// Memory is flat, and the bytes written depend on corpus, codebook and features alone: not on threads, not on a run that
// was killed before.
#pragma once
#include <functional>
#include <memory>

#include "data/codebook.h"
#include "data/frame_features.h"
#include "data/label_corpus.h"

namespace hinoki {

struct LabelPreparation {
  std::filesystem::path corpus, codebook, output;
  // Opens what the codebook's labels are made of, for one split.
  std::function<std::unique_ptr<FrameFeatures>(const SpeechCorpus&)> features;
  double silence_dbfs = -60;  // of the stretches that `silences` tells
  bool overwrite = false;     // finished labels of something else
  std::function<void()> check_stop = {};  // called now and then: what it throws ends the work, to be gone on with
};

// Who makes them together: each rank calls prepare_labels() with the same settings, on one file system.
struct LabelTeam {
  int64_t rank = 0, ranks = 1;
  std::function<void()> meet = [] {};  // returns when all ranks have called it
};

struct LabelSplitReport {
  int64_t shards = 0, reused = 0, utterances = 0, labels = 0;  // reused: shards that a killed run had left
  std::vector<int64_t> counts;  // of clusters
};

struct LabelReport {
  LabelOrigin origin;
  LabelSplitReport train, validation;
  bool reused = false;  // the output was already made of the same
};

// Leaves one shard of labels beside each shard of speech, train-00000.h5 ..., validation-00000.h5 ..., and, last,
// prepare.json in the output folder. A killed run is run again, and keeps the shards that are done. Features of another
// kind, rate or size than the codebook's are Exit::data. Shards are dealt to the ranks; rank 0 alone gets the report.
LabelReport prepare_labels(const LabelPreparation& settings, const LabelTeam& team = {});

}  // namespace hinoki
