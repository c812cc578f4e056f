// Folders of HuBERT on the command line's side: texts, and what probe reads and writes.
#include "train/hubert_folder.h"

#include <gtest/gtest.h>

#include "tests/models/tiny_hubert_folder.h"
#include "tests/support/expect_error.h"

namespace hinoki::hubert_folder_test {
namespace {

class ProbeHubert : public testing::Test {
 protected:
  using Named = std::vector<std::pair<std::string, Tensor>>;
  Named probe(const test::Weights& input, bool large = true) {
    const test::TinyHubertFolder model(large, large);
    test::write_tensors(folder_.path().string(), "in", input);
    return probe_hubert(model.path(), (folder_ / "in.safetensors").string(), {});
  }

  TemporaryFolder folder_;
  const Tensor sound_ = test::sound({2, 83}, 4);
};

TEST_F(ProbeHubert, WritesAllThatTransformersCanSay) {
  for (const bool large : {false, true}) {
    const Named all = probe({{"samples", sound_}}, large);
    std::vector<std::string> names;
    for (const auto& [name, t] : all) names.push_back(name);
    std::vector<std::string> wanted{"features"};
    if (large) wanted.push_back("logits");
    for (int i = 0; i < 4; ++i) wanted.push_back(say("hidden_states.", i));
    EXPECT_EQ(names, wanted);
    EXPECT_EQ(all[0].second.shape(), (Shape{2, 12, 6}));
  }
}

TEST_F(ProbeHubert, LengthsKeepPaddingOut) {
  const Tensor lengths = test::integers({2}, 50, 51, 1);
  const Named whole = probe({{"samples", sound_}}), some = probe({{"samples", sound_}, {"lengths", lengths}});
  sound_.as<float>()[82] = 0.1f;
  const Named other = probe({{"samples", sound_}, {"lengths", lengths}});
  const auto first = [](const Named& n) { return contiguous(n.back().second.narrow(0, 0, 1).narrow(1, 0, 6)); };
  EXPECT_FALSE(test::same_bits(first(whole), first(some)));
  EXPECT_TRUE(test::same_bits(first(some), first(other)));
}

TEST_F(ProbeHubert, WrongInputsAreNamed) {
  EXPECT_ERROR(probe({{"sound", sound_}}), Exit::data, "samples");
  EXPECT_ERROR(probe({{"samples", test::uniform({2, 83}, -1, 1, 4)}}), Exit::data, "\"samples\" is f64");
  EXPECT_ERROR(probe({{"samples", test::sound({166}, 4)}}), Exit::data, "\"samples\" is f32[166]");
  EXPECT_ERROR(probe({{"samples", test::sound({2, 5}, 4)}}), Exit::data, "5 samples are less than a frame");
  EXPECT_ERROR(probe({{"samples", sound_}, {"lengths", test::integers({3}, 50, 51, 1)}}), Exit::data,
               "3 lengths for 2 rows");
  EXPECT_ERROR(probe({{"samples", sound_}, {"lengths", test::integers({2}, 84, 85, 1)}}), Exit::data,
               "length 84 of row 0");
}

TEST(HubertTexts, SayWhatTheModelIs) {
  const TemporaryFolder folder;
  HubertFolder model{.model = {}, .vocabulary = 90};
  write_hubert_texts(folder.path().string(), model, DType::f32, "Learned from 12 hours of sound.\n");
  const std::string card = bytes_of_file(folder / "README.md");
  for (const char* part : {"HubertForCTC.from_pretrained", "in 90 characters", "Learned from 12 hours of sound.",
                           "automatic-speech-recognition", "every 320 samples"})
    EXPECT_NE(card.find(part), card.npos) << part;
  const HubertFolder read = read_hubert_config(folder.path().string());
  EXPECT_EQ(read.vocabulary, 90);
}

}  // namespace
}  // namespace hinoki::hubert_folder_test
