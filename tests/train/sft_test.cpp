// Supervised fine-tuning: what is learned, in the same bits whatever stops it and however many ranks it has.
#include "train/sft_task.h"

#include <gtest/gtest.h>

#include "core/base/json.h"
#include "data/tokenizer_training.h"
#include "tests/support/chain_model.h"
#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"
#include "tests/support/quiet_test.h"
#include "tests/support/ranks.h"
#include "tests/support/tiny_chat_run.h"
#include "train/config_file.h"
#include "train/model_folder.h"
#include "train/publication.h"
#include "train/run.h"

namespace hinoki::sft_test {
namespace {

class Sft : public test::QuietTest<> {};
using Training = Run;

struct Bits {
  std::vector<double> losses;
  double validation = 0;
  std::string weights;
  bool operator==(const Bits&) const = default;
};

void add_steps(Training& run, int64_t until, Bits& bits) {
  while (run.steps_done() < until) bits.losses.push_back(run.step().loss);
}

Bits finished(Training& run, Bits bits = {}) {
  add_steps(run, 20, bits);
  bits.validation = run.validate().loss;
  for (const Parameter& p : run.parameters().all())
    bits.weights.append(static_cast<const char*>(p.value.data()), size_t(p.size()) * sizeof(float));
  return bits;
}

TEST_F(Sft, LearnsToAnswer) {
  const test::TinyChatRun tiny;
  Training run(tiny.config);
  const double before = run.validate().loss;
  Bits bits;
  add_steps(run, 20, bits);
  // Half of an answer's tokens follow from its first ones.
  EXPECT_GT(before, 5.5);
  EXPECT_LT(run.validate().loss, 2.0);
}

TEST_F(Sft, StoppedAndResumedIsTheSameRun) {
  const test::TinyChatRun tiny;
  Training whole(tiny.config);
  const Bits expected = finished(whole);
  for (const int64_t k : {1, 7, 19}) {
    const SftConfig config = tiny.in("stopped-" + std::to_string(k));
    Bits bits;
    {
      Training first(config);
      add_steps(first, k, bits);
      first.save();
    }
    Training second(config);
    second.resume(find_usable(config.run + "/snapshots").found->path);
    EXPECT_TRUE(finished(second, bits) == expected) << "stopped after step " << k;
  }
}

TEST_F(Sft, AnyNumberOfRanksGivesTheSameBits) {
  const test::TinyChatRun tiny;
  SftConfig config = tiny.config;
  config.train.reduction_slots = 2;
  Training alone(config);
  const Bits expected = finished(alone);
  test::on_ranks(2, [&](Communicator& ranks) {
    Training run(config, ranks);
    run.meet();
    EXPECT_TRUE(finished(run) == expected);
  });
}

// The gradient is of answers alone: a question's tokens may be anything that leads to the same hidden states. Here the
// loss of a row is that of its labels, found one by one.
TEST_F(Sft, TheLossIsOfAnswersAlone) {
  const test::TinyChatRun tiny;
  Parameters parameters(DType::f32);
  SftConfig config = tiny.config;
  const SftTask task(config, parameters);
  parameters.allocate();
  parameters.initialize(5);
  const auto examples = task.examples(0, 0, 2);
  const double nats = task.loss(*examples, {}).item();

  const Tokenizer tokenizer = Tokenizer::load(config.data.path);
  const ChatCorpus corpus(config.data.path, "train", kConversations, tokenizer.hash());
  const ChatRows rows(corpus, config.data.rules(), uint64_t(config.train.seed));
  const NoGrad no_grad;
  Parameters again(DType::f32);
  const auto model = make_model(config.model, again);
  again.allocate();
  again.initialize(5);
  double expected = 0;
  int64_t targets = 0;
  std::vector<int32_t> ids(64), labels(64), segments(64);
  for (int64_t row = 0; row < 2; ++row) {
    rows.fill(row, {ids, labels, segments});
    for (size_t begin = 0, end; begin < 64; begin = end) {  // an example by itself
      for (end = begin; end < 64 && segments[end] == segments[begin]; ++end) {
      }
      const auto n = int64_t(end - begin);
      const Tensor x = from_values<int32_t>({1, n}, std::span<const int32_t>(ids).subspan(begin, size_t(n)));
      const Tensor hidden = model->hidden(x, {}, {});
      for (int64_t t = 0; t < n; ++t)
        if (const int32_t label = labels[begin + size_t(t)]; label != ChatRows::kIgnored) {
          const Tensor at = reshape(contiguous(slice(hidden, 1, t, t + 1)), {1, hidden.size(-1)});
          expected += *linear_cross_entropy_rows(at, model->head(), from_values<int32_t>({1}, std::span(&label, 1))).as<double>();
          ++targets;
        }
    }
  }
  EXPECT_EQ(examples->targets, targets);
  EXPECT_NEAR(nats, expected, 1e-4 * expected);
}

// A model that says the template's mark and then goes on without end.
TEST_F(Sft, SamplesEndWhereTheTurnsOfTheTemplateDo) {
  test::TinyChatRun tiny;
  const TemporaryFolder& folder = tiny.base.folder;
  std::vector<std::string> lines;
  for (uint64_t i = 0; i < 200; ++i) lines.push_back(test::toy_question(i).first + test::toy_question(i).second);
  const std::string vocabulary =
      train_tokenizer({.vocabulary_size = 300, .user_symbols = {"<|im_start|>", "<|im_end|>"}}, lines);
  const auto spiece = folder.write("marks/spiece.model", vocabulary);
  const Tokenizer tokenizer = Tokenizer::load(spiece);
  std::filesystem::create_directories(folder / "chatml");
  prepare_chat(tokenizer, {.inputs = {folder / "chat.jsonl"},
                           .output = folder / "chatml",
                           .chat_template = "chatml",
                           .validation_fraction = 0.3});
  const auto text = [&](const std::string& of) { return tokenizer.encode(of).back(); };
  const int32_t asked = ChatTemplate::named("chatml").prompt({{Speaker::user, "犬"}}, tokenizer).back();
  const test::ChainModel chain(tokenizer.size(), {asked, text("猫"), text("<|im_end|>"), text("水"), text("水")}, 128);
  SftConfig config = tiny.config;
  config.data.path = (folder / "chatml").string();
  config.data.sequence = 128;
  config.model = chain.config;
  config.samples = {.prompts = {"犬", "本は何ですか。"}, .tokens = 20};
  const auto samples = [&] {
    Parameters parameters(DType::f32);
    const SftTask task(config, parameters);
    parameters.allocate();
    chain.give_to(parameters);
    task.check_end();
    return task.samples(3);
  };
  EXPECT_EQ(samples(), (std::vector<std::string>{"犬\n猫", "本は何ですか。\n猫"}));
  config.samples.tokens = 0;
  EXPECT_TRUE(samples().empty());
  config.samples.tokens = INT64_MAX;
  EXPECT_EQ(samples().at(0), "犬\n猫");
  for (int i = 0; i < 7; ++i) config.samples.prompts[1] += config.samples.prompts[1];
  EXPECT_ERROR(samples(), Exit::usage, "samples.prompts: \"本は何ですか。");
  EXPECT_ERROR(samples(), Exit::usage, "say it in fewer words");
}

TEST_F(Sft, ASnapshotCarriesTheTemplateAndStartsTheNextRun) {
  const test::TinyChatRun tiny;
  Training run(tiny.config);
  run.step();
  const std::string snapshot = run.save();
  EXPECT_EQ(read_chat_template(snapshot), ChatTemplate::named("rinna").jinja());
  // Its architecture need not be said again, and adapters may learn beside it.
  const auto recipe = read_recipe(parse_config(say("recipe = \"sft\"\nstart_from = \"", snapshot, "\"\nrun = \"",
                                                   (tiny.base.folder / "next").string(), "\"\n[lora]\nrank = 2\n",
                                                   "[data]\npath = \"", tiny.config.data.path, "\"\nsequence = 64\n[samples]\ntokens = 0\nprompts = []\n"),
                                               "next.toml"));
  Training next(*recipe, run.ranks());
  EXPECT_NEAR(next.validate().loss, run.validate().loss, 1e-5);
  next.step();
  EXPECT_TRUE(is_file(next.save() + "/adapter_config.json"));
}

TEST_F(Sft, WhatDoesNotFitIsRefused) {
  const test::TinyChatRun tiny, other;
  SftConfig config = tiny.config;
  config.data.sequence = 8;
  EXPECT_ERROR(Training{config}, Exit::data, "data.overlong");
  config = tiny.config;
  config.model.architecture = "gpt2";
  EXPECT_ERROR(config.check(), Exit::usage, "data.packed = false");
  config = tiny.config;
  config.model.gpt_neox.vocab_size = 300;
  EXPECT_ERROR(Training{config}, Exit::usage, "more than model.vocab_size");
  config = tiny.config;
  config.data.path = tiny.base.config.data.corpora[0].path;
  EXPECT_ERROR(Training{config}, Exit::data, "");
}

}  // namespace
}  // namespace hinoki::sft_test
