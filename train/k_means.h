// k-means by mini-batches (Sculley, "Web-scale k-means clustering", WWW 2010) from k-means++ seeds (Arthur and
// Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007), over ranks.
//
// Rows are dealt to `slots`, a power of two, and a rank holds those of its slots. A batch takes the same share of every
// slot. Each slot sums its own rows in double, and slots combine as a binary tree: the centres have the same bits on
// any number of ranks that divides the slots, and on any number of threads.
//
// A cluster that stays empty is counted and not seeded again, as in the recipe of HuBERT (reassignment ratio 0): its centre
// was a row like another one's, or no batch came to that row.
//
//   count[j] += rows of the batch that are nearest to j
//   centre[j] += (their sum - their number x centre[j]) / count[j]
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "train/communicator.h"

namespace hinoki {

struct KMeansSettings {
  int64_t clusters = 100, dim = 39;
  int64_t batch_rows = 8192;  // of all slots together
  int64_t batches = 1000;
  int64_t seeding_rows = 16384;  // at most as many choose the first centres
  uint64_t seed = 0;
};

struct KMeans {
  std::vector<float> centres;   // [clusters, dim]
  std::vector<int64_t> counts;  // [clusters], rows of batches that were nearest; 0: a cluster that stayed as it began
  double inertia = 0;           // mean squared distance of the last batch's rows to their centres before it
  double entropy = 0;           // of the shares of counts, in nats
  int64_t empty = 0;            // clusters with a count of 0
};

// `mine`: for each of this rank's slots its rows, [rows, dim]; every rank has as many slots. Other settings at
// another rank are Exit::usage. Exit::data where there are fewer rows than clusters, a slot without a row, or rows that
// are not finite.
KMeans fit_k_means(Communicator& ranks, std::span<const std::vector<float>> mine, const KMeansSettings& settings);

}  // namespace hinoki
