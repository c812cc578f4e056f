#include "train/transcript.h"

#include <gtest/gtest.h>

#include "core/base/json.h"

namespace hinoki::transcript_test {
namespace {

Transcript example() {
  return {.seconds = 3725.5,
          .segments = {{0.02, 0.1, -0.5, {{"今", 0.02, 0.04}, {"\"", 0.06, 0.08}, {" ", 0.08, 0.1}}},
                       {3661.9996, 3725.5, -2, {{" ", 3661.9996, 3662}, {"日", 3700, 3725.5}}}}};
}

TEST(Transcript, IsALineForEachSegment) {
  EXPECT_EQ(as_text(example()), "今\"\n日\n");
  EXPECT_EQ(example().text(), "今\" 日");  // one space, though both segments have it
  EXPECT_EQ(as_text({}), "");
}

TEST(Transcript, IsJson) {
  const std::string line = as_json(example(), "a \xff.wav");
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  const Json json = Json::parse(line);
  EXPECT_EQ(json["path"], "a \xef\xbf\xbd.wav");
  EXPECT_EQ(json["seconds"], 3725.5);
  EXPECT_EQ(json["text"], "今\" 日");
  ASSERT_EQ(json["segments"].size(), 2u);
  EXPECT_EQ(json["segments"][0]["text"], "今\"");
  EXPECT_EQ(json["segments"][0]["log_p"], -0.5);
  EXPECT_EQ(json["segments"][0]["characters"][1]["begin"], 0.06);
  EXPECT_EQ(json["segments"][1]["begin"], 3662.0);
  EXPECT_EQ(Json::parse(as_json({}, "b"))["segments"], Json::array());
}

TEST(Transcript, IsSubRip) {
  EXPECT_EQ(as_srt(example()), "1\n00:00:00,020 --> 00:00:00,100\n今\"\n\n2\n01:01:02,000 --> 01:02:05,500\n日\n\n");
}

}  // namespace
}  // namespace hinoki::transcript_test
