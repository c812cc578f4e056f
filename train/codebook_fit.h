// A speech corpus to a codebook and to labels, over ranks: frames are drawn, clusters found in them, centres written; and
// every frame is given to its cluster.
#pragma once
#include "data/label_prepare.h"
#include "train/frame_sample.h"
#include "train/k_means.h"

namespace hinoki {

struct ClusterSettings {
  std::string corpus, output, features = "mfcc";  // train/layer_features.h
  int64_t clusters = 100, frames = 2'000'000, batch = 8192, batches = 1000;
  int64_t slots = 0;  // parts that add up one by one; 0: the number of ranks, rounded up to a power of two
  uint64_t seed = 0;
  bool overwrite = false;                 // a file that is there
  std::function<void()> check_stop = {};  // called now and then: what it throws ends the work
};

struct FittedCodebook {
  Codebook codebook;
  KMeans found;
};

// Writes the codebook at rank 0. With the same slots, any number of ranks makes the same file. Exit::usage where a file is
// there, or where ranks were asked for different things.
FittedCodebook fit_codebook(Communicator& ranks, const ClusterSettings& settings);

// prepare_labels() over ranks that share a file system, with features of train/layer_features.h. The report is rank 0's.
// Leaves a deadline of a week with the communicator.
LabelReport make_labels(Communicator& ranks, LabelPreparation settings, const std::string& features);

}  // namespace hinoki
