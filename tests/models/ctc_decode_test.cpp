#include "models/ctc_decode.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"

namespace hinoki::ctc_decode_test {
namespace {

using Labels = std::vector<int32_t>;

Labels ids(const CtcText& text) {
  Labels all;
  for (const CtcLabel& label : text.labels) all.push_back(label.id);
  return all;
}

// Logits whose softmax are these probabilities.
Tensor frames_of(const std::vector<std::vector<double>>& probabilities) {
  const int64_t classes = int64_t(probabilities.at(0).size());
  Tensor logits = empty({int64_t(probabilities.size()), classes}, DType::f32);
  float* out = logits.as<float>();
  for (const auto& frame : probabilities)
    for (const double p : frame) *out++ = float(std::log(p));
  return logits;
}

// The probability of each sequence of labels, the sum over all of its alignments, and its likeliest one.
struct Sums {
  std::map<Labels, double> all, best;
};
Sums by_all_paths(const Tensor& logits, int32_t blank) {
  const int64_t frames = logits.size(0), classes = logits.size(1);
  Sums sums;
  int64_t paths = 1;
  for (int64_t t = 0; t < frames; ++t) paths *= classes;
  for (int64_t n = 0; n < paths; ++n) {
    Labels labels;
    double p = 1;
    int64_t before = blank, rest = n;
    for (int64_t t = 0; t < frames; ++t, rest /= classes) {
      const int64_t v = rest % classes;
      const float* const x = logits.as<float>() + t * classes;
      double sum = 0;
      for (int64_t u = 0; u < classes; ++u) sum += std::exp(double(x[u]));
      p *= std::exp(double(x[v])) / sum;
      if (v != blank && v != before) labels.push_back(int32_t(v));
      before = v;
    }
    sums.all[labels] += p;
    sums.best[labels] = std::max(sums.best[labels], p);
  }
  return sums;
}

// Each frame is likelier silent, yet that something was said is likelier: 0.64 against 0.36.
TEST(CtcDecode, BeamSumsOverAlignmentsAndGreedyDoesNot) {
  const Tensor logits = frames_of({{0.6, 0.4}, {0.6, 0.4}});
  EXPECT_EQ(ids(ctc_greedy(logits, 0)), Labels{});
  EXPECT_NEAR(std::exp(ctc_greedy(logits, 0).log_p), 0.36, 1e-6);
  const CtcText beam = ctc_beam(logits, 0, 4);
  EXPECT_EQ(ids(beam), Labels{1});
  EXPECT_NEAR(std::exp(beam.log_p), 0.64, 1e-6);
}

TEST(CtcDecode, GreedyCountsRepeatsOnceAndTellsTheirFrames) {
  const auto frame = [](int32_t v) {
    std::vector<double> p(4, 0.1);
    p[size_t(v)] = 0.7;
    return p;
  };
  const CtcText text = ctc_greedy(frames_of({frame(3), frame(1), frame(1), frame(3), frame(1), frame(2), frame(2)}), 3);
  EXPECT_EQ(ids(text), (Labels{1, 1, 2}));
  ASSERT_EQ(text.labels.size(), 3u);
  EXPECT_EQ(text.labels[0].first, 1);
  EXPECT_EQ(text.labels[0].last, 2);
  EXPECT_EQ(text.labels[1].first, 4);
  EXPECT_EQ(text.labels[1].last, 4);
  EXPECT_EQ(text.labels[2].first, 5);
  EXPECT_EQ(text.labels[2].last, 6);
}

TEST(CtcDecode, AWideBeamFindsTheLikeliestLabels) {
  for (const int32_t blank : {0, 2})
    for (uint64_t seed = 1; seed <= 20; ++seed) {
      const Tensor logits = test::uniform({6, 3}, -1.5, 1.5, seed, DType::f32);
      const Sums sums = by_all_paths(logits, blank);
      const auto best = std::max_element(sums.all.begin(), sums.all.end(),
                                         [](const auto& a, const auto& b) { return a.second < b.second; });
      const CtcText wide = ctc_beam(logits, blank, 1000);
      EXPECT_EQ(ids(wide), best->first) << "seed " << seed;
      EXPECT_NEAR(std::exp(wide.log_p), best->second, 1e-6);
      // A narrow one finds no more than there is.
      for (const int64_t width : {1, 2, 3}) {
        const CtcText narrow = ctc_beam(logits, blank, width);
        EXPECT_LE(std::exp(narrow.log_p), sums.all.at(ids(narrow)) + 1e-6);
      }
    }
}

// More classes than a narrow beam looks at.
TEST(CtcDecode, BeamTriesEveryClassThatCanSurvive) {
  std::vector<std::vector<double>> frames(3, std::vector<double>(100, 0.001));
  for (size_t t = 0; t < 3; ++t) frames[t][90 + 3 * t] = 0.9;
  EXPECT_EQ(ids(ctc_beam(frames_of(frames), 0, 2)), (Labels{90, 93, 96}));
}

TEST(CtcDecode, AlignsByTheLikeliestPath) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    const Tensor logits = test::uniform({6, 3}, -2, 2, seed, DType::f32);
    for (const auto& [labels, p] : by_all_paths(logits, 0).best) {
      const CtcText text = ctc_align(logits, 0, labels);
      EXPECT_EQ(ids(text), labels);
      EXPECT_NEAR(std::exp(text.log_p), p, 1e-6 * p);
      int64_t end = -1;
      for (const CtcLabel& label : text.labels) {
        EXPECT_GT(label.first, end);
        EXPECT_GE(label.last, label.first);
        end = label.last;
      }
    }
  }
}

// A beam's frames are those of the greedy path where both find the same.
TEST(CtcDecode, BeamTellsFramesAsGreedyDoes) {
  std::vector<std::vector<double>> frames;
  for (const size_t v : {0, 1, 1, 0, 1, 2, 0}) {
    frames.emplace_back(3, 0.01);
    frames.back()[v] = 0.98;
  }
  const CtcText greedy = ctc_greedy(frames_of(frames), 0), beam = ctc_beam(frames_of(frames), 0, 8);
  ASSERT_EQ(ids(beam), ids(greedy));
  for (size_t i = 0; i < beam.labels.size(); ++i) {
    EXPECT_EQ(beam.labels[i].first, greedy.labels[i].first);
    EXPECT_EQ(beam.labels[i].last, greedy.labels[i].last);
  }
}

TEST(CtcDecode, SaysNothingOfNoFrames) {
  const Tensor none = empty({0, 3}, DType::f32);
  EXPECT_EQ(ids(ctc_greedy(none, 0)), Labels{});
  EXPECT_EQ(ids(ctc_beam(none, 0, 2)), Labels{});
}

TEST(CtcDecode, RefusesWhatItCannotDecode) {
  Tensor logits = frames_of({{0.5, 0.5}, {0.5, 0.5}});
  EXPECT_ERROR(ctc_align(logits, 0, {1, 1}), Exit::data, "2 labels do not fit in 2 frames");
  EXPECT_ERROR(ctc_beam(logits, 0, 0), Exit::usage, "a beam of 0");
  EXPECT_ERROR(ctc_greedy(logits, 2), Exit::failure, "with the blank 2 among them");
  logits.as<float>()[2] = NAN;
  EXPECT_ERROR(ctc_greedy(logits, 0), Exit::numerical, "the logits of frame 1 are not finite");
}

}  // namespace
}  // namespace hinoki::ctc_decode_test
