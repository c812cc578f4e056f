#include "train/k_means.h"

#include <cmath>

#include "core/base/philox.h"
#include "tests/support/expect_error.h"
#include "tests/support/ranks.h"

namespace hinoki::k_means_test {
namespace {

using Slots = std::vector<std::vector<float>>;
constexpr int64_t kClouds = 6, kDim = 5;

float middle(int64_t cloud, int64_t p) { return float((cloud * 37 + p * 11) % 23); }

// Rows around six points that are far apart, 0.1 to each side.
Slots clouds(int slots, int64_t rows_of_slot) {
  Slots all;
  for (int slot = 0; slot < slots; ++slot) {
    std::vector<float>& rows = all.emplace_back();
    for (int64_t i = 0; i < rows_of_slot; ++i)
      for (int64_t p = 0; p < kDim; ++p) {
        const Random4 bits = philox({.seed = 3, .site = uint64_t(slot), .step = uint64_t(p)}, uint64_t(i));
        const int64_t cloud = philox({.seed = 4, .site = uint64_t(slot)}, uint64_t(i))[0] % kClouds;
        rows.push_back(middle(cloud, p) + 0.2f * (unit_float(bits[0]) - 0.5f));
      }
  }
  return all;
}

KMeansSettings small() {
  return {.clusters = kClouds, .dim = kDim, .batch_rows = 256, .batches = 40, .seeding_rows = 512, .seed = 1};
}

KMeans fit(const Slots& slots, int ranks, const KMeansSettings& settings, int threads = 1) {
  std::vector<KMeans> found(static_cast<size_t>(ranks));
  const size_t each = slots.size() / size_t(ranks);
  test::on_ranks(
      ranks,
      [&](Communicator& c) {
        const size_t rank = size_t(c.rank());
        found[rank] = fit_k_means(c, std::span(slots).subspan(rank * each, each), settings);
      },
      threads);
  for (const KMeans& other : found) EXPECT_EQ(other.centres, found[0].centres);
  return found[0];
}

TEST(KMeans, FindsCloudsThatLieApart) {
  const KMeans found = fit(clouds(4, 500), 1, small());
  for (int64_t cloud = 0; cloud < kClouds; ++cloud) {
    double least = INFINITY;
    for (int64_t j = 0; j < kClouds; ++j) {
      double worst = 0;
      for (int64_t p = 0; p < kDim; ++p)
        worst = std::max(worst, std::abs(double(found.centres[size_t(j * kDim + p)]) - double(middle(cloud, p))));
      least = std::min(least, worst);
    }
    EXPECT_LT(least, 0.03) << "of cloud " << cloud;
  }
  EXPECT_EQ(found.empty, 0);
  EXPECT_NEAR(found.entropy, std::log(double(kClouds)), 0.05);
  EXPECT_NEAR(found.inertia, kDim * 0.2 * 0.2 / 12, 0.002);  // a uniform width of 0.2 has this variance
}

TEST(KMeans, HasTheSameBitsOnAnyNumberOfRanksAndThreads) {
  const Slots slots = clouds(4, 333);
  KMeansSettings settings = small();
  settings.clusters = 17;
  const KMeans alone = fit(slots, 1, settings);
  for (const int ranks : {1, 2, 4})
    for (const int threads : {1, 3}) {
      const KMeans found = fit(slots, ranks, settings, threads);
      EXPECT_EQ(found.centres, alone.centres) << ranks << " ranks, " << threads << " threads";
      EXPECT_EQ(found.counts, alone.counts);
      EXPECT_EQ(found.inertia, alone.inertia);
    }
  settings.seed = 2;
  EXPECT_NE(fit(slots, 1, settings).centres, alone.centres);
}

// Numbers whose sum depends on the order: (2^60 + 1) + (-2^60 + 1) is 0 in double, in a row it would be 1.
TEST(KMeans, AddsSlotsAsATreeWhereverItIsCutBetweenRanks) {
  const Slots slots{{0x1p60f}, {1}, {-0x1p60f}, {1}};
  for (const int ranks : {1, 2, 4})
    for (uint64_t seed = 0; seed < 8; ++seed)  // any of the four is the first centre
      EXPECT_EQ(fit(slots, ranks, {.clusters = 1, .dim = 1, .batch_rows = 4, .batches = 1, .seed = seed}).centres[0], 0)
          << ranks << " ranks, seed " << seed;
}

// Two places for three clusters: ties go to the lowest, so one of the three is never nearest, and says so.
TEST(KMeans, CountsClustersThatStayEmpty) {
  Slots slots(2);
  for (int i = 0; i < 40; ++i)
    for (std::vector<float>& slot : slots) slot.push_back(i % 2 ? 1 : -1);
  const KMeans found =
      fit(slots, 2, {.clusters = 3, .dim = 1, .batch_rows = 16, .batches = 5, .seeding_rows = 80, .seed = 1});
  EXPECT_EQ(found.empty, 1);
  EXPECT_NEAR(found.entropy, std::log(2.0), 1e-12);
  EXPECT_EQ(found.inertia, 0);
}

TEST(KMeans, RefusesWhatCannotBeClustered) {
  KMeansSettings settings = small();
  settings.clusters = 21;
  EXPECT_ERROR(fit(clouds(2, 10), 2, settings), Exit::data, "21 clusters are more than the 20 frames");
  Slots slots = clouds(2, 10);
  slots[1].clear();
  EXPECT_ERROR(fit(slots, 1, small()), Exit::data, "a slot has no rows");
  slots = clouds(2, 10);
  slots[1][7] = INFINITY;
  EXPECT_ERROR(fit(slots, 2, small()), Exit::data, "not all finite");
  EXPECT_ERROR(fit(clouds(3, 10), 1, small()), Exit::failure, "3 slots are no power of two");
}

// A slot of two rows beside one of 38: together they have what each slot's equal share of the seeds would lack.
TEST(KMeans, SeedsFromSlotsOfAnySize) {
  const std::vector<float> rows = clouds(1, 40)[0];
  const auto cut = rows.begin() + 2 * kDim;
  const Slots uneven{{rows.begin(), cut}, {cut, rows.end()}};
  KMeansSettings settings = small();
  settings.clusters = 40;
  settings.seeding_rows = 8;  // fewer than clusters: those count
  const KMeans found = fit(uneven, 2, settings);
  EXPECT_EQ(found.centres, fit(uneven, 1, settings).centres);
  settings.clusters = 41;
  EXPECT_ERROR(fit(uneven, 2, settings), Exit::data, "41 clusters are more than the 40 frames");
}

// Larger and smaller ones, for what another rank sends must neither overflow nor leave a gap.
TEST(KMeans, RefusesRanksWithOtherSettings) {
  const Slots slots = clouds(2, 40);
  for (int64_t KMeansSettings::*const field :
       {&KMeansSettings::clusters, &KMeansSettings::dim, &KMeansSettings::batches})
    for (const int64_t other : {1, 10})
      EXPECT_ERROR(test::on_ranks(2,
                                  [&](Communicator& ranks) {
                                    KMeansSettings settings = small();
                                    if (ranks.rank() == 1) settings.*field = other;
                                    fit_k_means(ranks, std::span(slots).subspan(size_t(ranks.rank()), 1), settings);
                                  }),
                   Exit::usage, "different settings");
}

}  // namespace
}  // namespace hinoki::k_means_test
