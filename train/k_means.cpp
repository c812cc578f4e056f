#include "train/k_means.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "core/base/parallel.h"
#include "core/base/philox.h"
#include "kernels/nearest.h"

namespace hinoki {
namespace {

constexpr uint64_t kSeedSite = hash_name("k_means/seed");
using Rows = std::vector<float>;

// A number in [0, 1) with 53 bits.
double unit(uint64_t seed, uint64_t step) {
  const Random4 bits = philox({.seed = seed, .site = kSeedSite, .step = step}, 0);
  return double((uint64_t{bits[0]} << 32 | bits[1]) >> 11) * 0x1p-53;
}

// What a slot says of a batch: the sum and the number of the rows of each cluster, and of all squared distances.
struct Sums {
  explicit Sums(const KMeansSettings& s) : values(size_t(s.clusters * (s.dim + 1) + 1)) {}
  std::vector<double> values;  // [clusters, dim] sums, [clusters] numbers, distance

  void add(const Sums& other) {
    for (size_t i = 0; i < values.size(); ++i) values[i] += other.values[i];
  }
};

class Fit {
 public:
  Fit(Communicator& ranks, std::span<const Rows> mine, const KMeansSettings& s) : ranks_(ranks), mine_(mine), s(s) {
    const int64_t slots = int64_t(mine.size()) * ranks.size();
    require(std::has_single_bit(uint64_t(slots)), "k-means: ", slots, " slots are no power of two");
    require(s.clusters >= 1 && s.dim >= 1 && s.batches >= 1, "k-means: of ", s.clusters, " clusters in ", s.dim,
            " dimensions, ", s.batches, " batches");
    share_ = std::max<int64_t>(1, s.batch_rows / slots);
  }

  KMeans run() {
    together(ranks_, "the rows of k-means", [&] { check(); });
    check_equal_settings();
    seed();
    result_.counts.assign(size_t(s.clusters), 0);
    for (int64_t batch = 0; batch < s.batches; ++batch) update(batch);
    describe();
    return result_;
  }

 private:
  int64_t rows_of(const Rows& slot) const { return int64_t(slot.size()) / s.dim; }

  void check() const {
    for (const Rows& slot : mine_) {
      require(int64_t(slot.size()) % s.dim == 0, "k-means: ", slot.size(), " numbers are no rows of ", s.dim);
      require<Exit::data>(!slot.empty(), "k-means: a slot has no rows; there are too few frames for so many ranks");
      const bool finite = std::all_of(slot.begin(), slot.end(), [](float v) { return std::isfinite(v); });
      require<Exit::data>(finite, "k-means: the features are not all finite");
    }
  }

  // What ranks send each other has sizes that follow from these.
  void check_equal_settings() const {
    const std::array<int64_t, 6> mine{int64_t(mine_.size()), s.clusters, s.dim, share_, s.seeding_rows, s.batches};
    for (const auto& theirs : gather_values(ranks_, "the settings of k-means", mine))
      require<Exit::usage>(
          theirs == mine,
          "k-means: ranks have different settings or numbers of slots; start all of them by one command");
  }

  // The first so many rows of every slot choose the first centres: as few as are `seeding_rows` together, where slots are
  // uneven, too; all of them where they are fewer.
  int64_t seeding_share() const {
    std::vector<int64_t> own;
    for (const Rows& slot : mine_) own.push_back(rows_of(slot));
    const std::string_view bytes(reinterpret_cast<const char*>(own.data()), own.size() * sizeof(int64_t));
    std::vector<int64_t> rows;  // of all slots, ascending
    for (const std::string& part : gather(ranks_, "the numbers of rows of k-means", bytes)) {
      rows.resize(rows.size() + own.size());
      std::memcpy(rows.data() + rows.size() - own.size(), part.data(), part.size());
    }
    std::sort(rows.begin(), rows.end());
    int64_t wanted = std::max(s.seeding_rows, s.clusters);
    for (size_t i = 0; i < rows.size(); ++i) {
      const auto left = int64_t(rows.size() - i);
      if (rows[i] * left >= wanted) return (wanted + left - 1) / left;
      wanted -= rows[i];
    }
    return rows.back();
  }

  // At every rank, in the order of slots.
  Rows gather_seeding_rows() const {
    const int64_t share = seeding_share();
    std::string message;
    for (const Rows& slot : mine_)
      message.append(reinterpret_cast<const char*>(slot.data()),
                     size_t(std::min(share, rows_of(slot)) * s.dim) * sizeof(float));
    Rows all;
    for (const std::string& part : gather(ranks_, "the first rows of k-means", message)) {
      const size_t before = all.size();
      all.resize(before + part.size() / sizeof(float));
      std::memcpy(all.data() + before, part.data(), part.size());
    }
    return all;
  }

  // Every rank has the rows, but the first one chooses: the others' processors may round otherwise.
  void seed() {
    const Rows rows = gather_seeding_rows();
    const int64_t count = rows_of(rows);
    require<Exit::data>(count >= s.clusters, "k-means: ", s.clusters, " clusters are more than the ", count,
                        " frames there are to begin with; ask for fewer clusters, or give more speech");
    std::string chosen;
    if (ranks_.first()) chosen = choose(rows, count);
    chosen = broadcast(ranks_, "the first centres of k-means", chosen);
    result_.centres.resize(size_t(s.clusters * s.dim));
    std::memcpy(result_.centres.data(), chosen.data(), chosen.size());
  }

  // Each next centre is a row, drawn with the squared distance to the nearest of those before it. Where all rows lie on
  // centres, the rows repeat: any of them will do.
  std::string choose(const Rows& rows, int64_t count) const {
    std::vector<float> nearest(size_t(count), INFINITY), next(size_t(count), 0);
    std::vector<int32_t> labels(size_t(count), 0);
    std::string centres;
    for (int64_t c = 0; c < s.clusters; ++c) {
      const int64_t row = c == 0 ? int64_t(unit(s.seed, 0) * double(count)) : draw(nearest, unit(s.seed, uint64_t(c)));
      const float* const centre = rows.data() + row * s.dim;
      centres.append(reinterpret_cast<const char*>(centre), size_t(s.dim) * sizeof(float));
      kernels::nearest.run(Device::cpu, {},
                           {.x = rows.data(),
                            .centres = centre,
                            .labels = labels.data(),
                            .distances = next.data(),
                            .rows = count,
                            .count = 1,
                            .size = s.dim});
      for (size_t i = 0; i < nearest.size(); ++i) nearest[i] = std::min(nearest[i], next[i]);
      nearest[size_t(row)] = 0;  // whatever rounding says
    }
    return centres;
  }

  static int64_t draw(const std::vector<float>& weights, double at) {
    double total = 0, sum = 0;
    for (const float w : weights) total += double(w);
    if (total == 0) return int64_t(at * double(weights.size()));
    int64_t last = 0;
    for (size_t i = 0; i < weights.size(); ++i) {
      if (weights[i] == 0) continue;
      sum += double(weights[i]);
      last = int64_t(i);
      if (sum > at * total) break;
    }
    return last;
  }

  // Batch by batch through the rows of a slot, and from the start again.
  Sums sum(const Rows& slot, int64_t batch) const {
    const int64_t rows = rows_of(slot);
    Rows x(size_t(share_ * s.dim));
    for (int64_t i = 0; i < share_; ++i)
      std::copy_n(slot.data() + (batch * share_ + i) % rows * s.dim, s.dim, x.data() + i * s.dim);
    std::vector<int32_t> labels(size_t(share_), 0);
    std::vector<float> distances(size_t(share_), 0);
    kernels::nearest.run(Device::cpu, {},
                         {.x = x.data(),
                          .centres = result_.centres.data(),
                          .labels = labels.data(),
                          .distances = distances.data(),
                          .rows = share_,
                          .count = s.clusters,
                          .size = s.dim});
    Sums sums(s);
    double* const numbers = sums.values.data() + s.clusters * s.dim;
    for (int64_t i = 0; i < share_; ++i) {
      double* const to = sums.values.data() + labels[size_t(i)] * s.dim;
      for (int64_t p = 0; p < s.dim; ++p) to[p] += double(x[size_t(i * s.dim + p)]);
      numbers[labels[size_t(i)]] += 1;
      sums.values.back() += double(distances[size_t(i)]);
    }
    return sums;
  }

  // Neighbours first: ((s0 + s1) + (s2 + s3)) + ..., which is the same tree wherever it is cut between ranks.
  static Sums tree(std::vector<Sums> parts) {
    for (size_t count = parts.size(); count > 1; count /= 2)
      for (size_t i = 0; i < count / 2; ++i) {
        Sums sum = std::move(parts[2 * i]);
        sum.add(parts[2 * i + 1]);
        parts[i] = std::move(sum);
      }
    return std::move(parts.front());
  }

  Sums sum_of_all(int64_t batch) const {
    std::vector<Sums> slots;
    for (const Rows& slot : mine_) slots.push_back(sum(slot, batch));
    const Sums own = tree(std::move(slots));
    if (ranks_.alone()) return own;
    const std::string_view bytes(reinterpret_cast<const char*>(own.values.data()), own.values.size() * sizeof(double));
    std::vector<Sums> all;
    for (const std::string& part : gather(ranks_, "the sums of k-means", bytes)) {
      all.emplace_back(s);
      std::memcpy(all.back().values.data(), part.data(), part.size());
    }
    return tree(std::move(all));
  }

  void update(int64_t batch) {
    const Sums sums = sum_of_all(batch);
    double total = 0;
    for (int64_t j = 0; j < s.clusters; ++j) {
      const double number = sums.values[size_t(s.clusters * s.dim + j)];
      total += number;
      if (number == 0) continue;
      const auto count = double(result_.counts[size_t(j)] += int64_t(number));
      for (int64_t p = j * s.dim; p < (j + 1) * s.dim; ++p) {
        float& centre = result_.centres[size_t(p)];
        centre = float(double(centre) + (sums.values[size_t(p)] - number * double(centre)) / count);
      }
    }
    result_.inertia = sums.values.back() / total;
  }

  void describe() {
    double total = 0;
    for (const int64_t n : result_.counts) total += double(n);
    for (const int64_t n : result_.counts) {
      result_.empty += n == 0;
      if (n > 0) result_.entropy -= double(n) / total * std::log(double(n) / total);
    }
  }

  Communicator& ranks_;
  std::span<const Rows> mine_;
  const KMeansSettings& s;
  int64_t share_;  // rows of a batch that a slot gives
  KMeans result_;
};

}  // namespace

KMeans fit_k_means(Communicator& ranks, std::span<const std::vector<float>> mine, const KMeansSettings& settings) {
  return Fit(ranks, mine, settings).run();
}

}  // namespace hinoki
