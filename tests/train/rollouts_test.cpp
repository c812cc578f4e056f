#include "train/rollouts.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/expect_error.h"
#include "tests/support/ranks.h"
#include "tests/support/temporary_folder.h"

namespace hinoki::rollouts_test {
namespace {

// Two answers, of two tokens and of one.
Rollouts some() {
  Rollouts r;
  r.number = 3;
  r.answers = {{.tokens = 5, .prompt = 3, .ended = 1, .score = 2}, {.tokens = 3, .prompt = 2, .ended = 0, .score = -30}};
  r.ids = {1, 2, 3, 7, 8, 4, 5, 9};
  r.tokens = {{.log_prob = -1, .reference = -1.5, .value = 0.5, .entropy = 1, .sampler = -1},
              {.log_prob = -2, .reference = -1, .value = 0.25, .entropy = 2, .sampler = -2.25},
              {.log_prob = -0.5, .reference = -0.5, .value = 1, .entropy = 3, .sampler = -0.5}};
  return r;
}

TEST(Rollouts, RewardsAreTheScoreAtTheEndAndThePriceEverywhere) {
  Rollouts r = some();
  // By hand, beta 0.1, lambda 0.5, scores halved and cut at 10: rewards -0.05, 1 + 0.1, and -10; deltas -0.05 + 0.25 -
  // 0.5 = -0.3, 1.1 - 0.25 = 0.85, and -11; advantages -0.3 + 0.5 * 0.85 = 0.125, 0.85, -11.
  const RolloutSums sums = find_advantages(r, 0.1, 0.5, {.clip = 10}, {.gamma = 1, .lambda = 0.5});
  EXPECT_DOUBLE_EQ(r.tokens[0].to, 0.5 + 0.125);
  EXPECT_DOUBLE_EQ(r.tokens[1].to, 0.25 + 0.85);
  EXPECT_DOUBLE_EQ(r.tokens[2].to, 1 - 11);
  const double mean = (0.125 + 0.85 - 11) / 3;
  const double variance = (std::pow(0.125 - mean, 2) + std::pow(0.85 - mean, 2) + std::pow(-11 - mean, 2)) / 3;
  EXPECT_NEAR(r.tokens[1].advantage, (0.85 - mean) / std::sqrt(variance + 1e-8), 1e-14);
  EXPECT_DOUBLE_EQ(sums.kl, (0.5 - 1 + 0) / 2);
  EXPECT_DOUBLE_EQ(sums.k3, (std::exp(-0.5) - 1 + 0.5 + std::exp(1) - 1 - 1) / 2);
  EXPECT_DOUBLE_EQ(sums.price, -0.1 * sums.kl);
  EXPECT_DOUBLE_EQ(sums.entropy, 2);
  EXPECT_DOUBLE_EQ(sums.score, -14);
  EXPECT_DOUBLE_EQ(sums.ended, 0.5);
  EXPECT_DOUBLE_EQ(sums.length, 1.5);
  EXPECT_DOUBLE_EQ(sums.sampler, 0.25);
  EXPECT_DOUBLE_EQ(sums.distinct, 1);
}

TEST(Rollouts, ComeBackFromASnapshot) {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder / "state");
  Rollouts r = some();
  const KlConfig config{.beta = 0.05, .target = 1, .horizon = 100};
  KlController kl(0.07, 1, 100);
  RunningScale scale;
  scale.add(std::vector<double>{1, 2, 4});
  r.write((folder / "").string(), kl, scale);
  KlController kl_again(0.05, 1, 100);
  RunningScale scale_again;
  const Rollouts again = Rollouts::read((folder / "").string(), kl_again, scale_again, config);
  EXPECT_EQ(again.number, 3);
  EXPECT_EQ(again.ids, r.ids);
  EXPECT_EQ(again.longest(), 5);
  for (size_t i = 0; i < r.answers.size(); ++i) {
    EXPECT_EQ(again.answers[i].prompt, r.answers[i].prompt);
    EXPECT_EQ(again.answers[i].ended, r.answers[i].ended);
    EXPECT_EQ(again.answers[i].score, r.answers[i].score);
  }
  for (size_t i = 0; i < r.tokens.size(); ++i) EXPECT_EQ(again.tokens[i].reference, r.tokens[i].reference);
  EXPECT_EQ(kl_again.beta(), 0.07);
  EXPECT_EQ(scale_again.factor(), scale.factor());

  r.tokens.pop_back();
  r.write((folder / "").string(), kl, scale);
  EXPECT_ERROR(Rollouts::read((folder / "").string(), kl_again, scale_again, config), Exit::snapshot,
               "do not add up: 8 ids of 8, 3 tokens of 2");
}

TEST(Rollouts, AreGatheredInTheOrderOfRanks) {
  test::on_ranks(2, [&](Communicator& ranks) {
    Rollouts mine;
    if (ranks.first()) mine = some();
    mine.gather(ranks);
    EXPECT_EQ(mine.ids, some().ids);
    EXPECT_EQ(mine.tokens.size(), 3u);
    EXPECT_EQ(mine.answers[1].score, -30);
  });
}

}  // namespace
}  // namespace hinoki::rollouts_test
