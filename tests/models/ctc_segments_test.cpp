#include "models/ctc_segments.h"

#include <gtest/gtest.h>

#include <string>

#include "models/ctc_decode.h"
#include "tests/support/expect_error.h"

namespace hinoki::ctc_segments_test {
namespace {

TEST(SoundWindows, KeepEveryFrameOnceWithItsMargins) {
  for (const int64_t frames : {1, 9, 10, 11, 14, 15, 16, 17, 37, 100, 1001})
    for (const int64_t margin : {0, 2, 4}) {
      const int64_t window = 10;
      int64_t kept = 0;
      for (const SoundWindow& w : cut_windows(frames, window, margin)) {
        EXPECT_EQ(w.kept, kept);
        EXPECT_GT(w.kept_end, w.kept);
        EXPECT_EQ(w.frames, std::min(frames, window));
        EXPECT_TRUE(w.first == 0 || w.kept - w.first >= margin) << frames << ", " << margin;
        EXPECT_TRUE(w.first + w.frames == frames || w.first + w.frames - w.kept_end >= margin);
        EXPECT_TRUE(w.first >= 0 && w.first + w.frames <= frames);
        kept = w.kept_end;
      }
      EXPECT_EQ(kept, frames) << "margin " << margin;
    }
  EXPECT_TRUE(cut_windows(0, 10, 2).empty());
  EXPECT_ERROR(cut_windows(5, 4, 2), Exit::usage, "windows of 4 frames have no middle between margins of 2");
}

// '.' is the blank, a letter its class; a digit is a blank that leads by so much.
Tensor frames_of(const std::string& said) {
  Tensor logits = zeros({int64_t(said.size()), 4}, DType::f32);
  for (size_t t = 0; t < said.size(); ++t) {
    const bool digit = said[t] >= '0' && said[t] <= '9';
    logits.as<float>()[t * 4 + (digit || said[t] == '.' ? 0 : size_t(said[t] - 'a' + 1))] =
        digit ? 0.1f * float(said[t] - '0') : 5;
  }
  return logits;
}

// The segments' frames as letters, fed in pieces of so many.
std::vector<std::pair<int64_t, int64_t>> segments_of(const std::string& said, size_t piece, const SegmentRule& rule) {
  CtcSegments segments(4, 0, rule);
  std::vector<std::pair<int64_t, int64_t>> found;
  const auto drain = [&](bool last) {
    while (const auto s = segments.next(last)) found.push_back({s->first, s->first + s->logits.size(0)});
  };
  for (size_t t = 0; t < said.size(); t += piece) {
    segments.add(frames_of(said.substr(t, piece)));
    drain(false);
  }
  drain(true);
  return found;
}

using Ends = std::vector<std::pair<int64_t, int64_t>>;

TEST(CtcSegments, EndAtPauses) {
  for (const size_t piece : {1, 2, 5, 100}) {
    EXPECT_EQ(segments_of("..ab.b...c.", piece, {.pause = 3, .most = 50}), (Ends{{0, 9}, {9, 11}}));
    EXPECT_EQ(segments_of("....", piece, {.pause = 3, .most = 50}), Ends{});
    EXPECT_EQ(segments_of("", piece, {.pause = 3, .most = 50}), Ends{});
  }
}

// Without a pause: in the last third, where the blank leads most; else at the most.
TEST(CtcSegments, EndSomewhereIfNobodyPauses) {
  for (const size_t piece : {1, 4, 100}) {
    EXPECT_EQ(segments_of("a9aaaaa3a5a2aab", piece, {.pause = 3, .most = 12}), (Ends{{0, 10}, {10, 15}}));
    EXPECT_EQ(segments_of("abcabcabc", piece, {.pause = 3, .most = 6}), (Ends{{0, 6}, {6, 9}}));
  }
}

TEST(CtcSegments, PassOverLongSilence) {
  for (const size_t piece : {1, 7, 100})
    EXPECT_EQ(segments_of(std::string(20, '.') + "a", piece, {.pause = 3, .most = 6}), (Ends{{18, 21}}));
}

// What is decoded piece by piece is what is decoded whole.
TEST(CtcSegments, LoseNothing) {
  const std::string said = "aa.a..bb...c.cc....ab.....a";
  std::vector<int32_t> whole, parts;
  for (const CtcLabel& l : ctc_greedy(frames_of(said), 0).labels) whole.push_back(l.id);
  CtcSegments segments(4, 0, {.pause = 2, .most = 9});
  segments.add(frames_of(said));
  while (const auto s = segments.next(true))
    for (const CtcLabel& l : ctc_greedy(s->logits, 0).labels) {
      parts.push_back(l.id);
      const char letter = said[size_t(s->first + l.first)];
      EXPECT_EQ(letter, char('a' + l.id - 1));
    }
  EXPECT_EQ(parts, whole);
}

}  // namespace
}  // namespace hinoki::ctc_segments_test
