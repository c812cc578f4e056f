#include "train/step_sums.h"

#include <algorithm>
#include <cstring>

#include "core/base/trace.h"

namespace hinoki {
namespace {

constexpr int64_t kSumChunk = Parameters::kChunk;
constexpr size_t kFixed = 6;  // numbers before the chunks' figures

size_t chunks_of(const std::vector<Piece>& pieces) {
  int64_t n = 0;
  for (const Piece& p : pieces) n += (p.size() + kSumChunk - 1) / kSumChunk;
  return size_t(n);
}

}  // namespace

StepSums sum_over_ranks(Communicator& ranks, const Shards& shards, const StepSums& mine) {
  const Trace trace("sums of the step");
  // Counts travel as doubles, which hold integers up to 2^53 exactly.
  std::vector<double> message{mine.loss,           double(mine.targets),    double(mine.stop),
                              double(mine.warned), double(mine.parts_done), mine.busy};
  message.insert(message.end(), mine.chunk_norms.begin(), mine.chunk_norms.end());
  std::vector<std::vector<double>> all;
  for (int r = 0; r < ranks.size(); ++r) all.emplace_back(kFixed + chunks_of(shards.of(r)));
  std::vector<MutableBytes> receive;
  for (auto& of_rank : all) receive.push_back(std::as_writable_bytes(std::span(of_rank)));
  ranks.exchange("sums of the step", std::vector<Bytes>(all.size(), std::as_bytes(std::span(message))), receive);

  StepSums sums{.chunk_norms = std::vector<double>(size_t(shards.flat_size() / kSumChunk))};
  std::vector<double> losses;
  for (int r = 0; r < ranks.size(); ++r) {
    const std::vector<double>& of_rank = all[size_t(r)];
    losses.push_back(of_rank[0]);
    sums.targets += int64_t(of_rank[1]);
    sums.stop = std::max(sums.stop, int64_t(of_rank[2]));
    sums.warned += int64_t(of_rank[3]);
    sums.parts_done += int64_t(of_rank[4]);
    sums.busy_of.push_back(of_rank[5]);
    const double* norms = of_rank.data() + kFixed;
    for (const Piece& p : shards.of(r))
      for (int64_t chunk = p.begin / kSumChunk; chunk < (p.end + kSumChunk - 1) / kSumChunk; ++chunk)
        sums.chunk_norms[size_t(chunk)] = *norms++;
  }
  sums.loss = tree_sum(losses);
  return sums;
}

}  // namespace hinoki
