// hinoki chat through pipes: a line in, an answer out, what it makes of bad lines, and Ctrl-C.
#include <gtest/gtest.h>

#include <csignal>
#include <thread>

#include "data/utf8.h"
#include "tests/end_to_end/tiny_program.h"
#include "tests/support/chain_model.h"
#include "tests/support/tiny_chat_run.h"
#include "train/config_file.h"

namespace hinoki::end_to_end_chat_test {
namespace {

using Strings = std::vector<std::string>;

// Says what a test wants when it is asked in rinna's template, whatever the question.
struct Chatty {
  test::TinyProgram p;
  Tokenizer tokenizer = Tokenizer::load(p.path("spiece.model"));
  std::vector<int32_t> chain = {ChatTemplate::named("rinna").prompt({{Speaker::user, "猫"}}, tokenizer).back()};

  void then(const std::vector<int32_t>& ids) { chain.insert(chain.end(), ids.begin(), ids.end()); }
  Strings chat(int64_t positions = 64, const Strings& options = {"--temperature", "0"}) const {
    const std::string folder = p.path(say("chain-", positions));
    if (!std::filesystem::exists(folder))
      test::ChainModel(tokenizer.size(), chain, positions).write(folder, p.path("spiece.model"));
    Strings all{"chat", folder};
    all.insert(all.end(), options.begin(), options.end());
    return all;
  }
};

test::Outcome talk(const Strings& arguments, const std::string& input) {
  test::Program program(arguments, {.asked = true});
  program.tell(input);
  program.stop_telling();
  return program.finish();
}

void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << part << " lacks in\n" << text;
}

TEST(Chat, AnswersEachLineUntilTheInputEnds) {
  Chatty c;
  c.then(c.tokenizer.encode("犬"));
  c.then({c.tokenizer.eos()});
  const test::Outcome three = talk(c.chat(256), "猫は本を見る。\n\r\n\n水\r\n最後");
  EXPECT_EQ(three.code, 0) << three.err;
  EXPECT_EQ(three.out, "犬\n犬\n犬\n") << "empty lines are no questions; the last line needs no newline";
  EXPECT_EQ(three.err.find("> "), std::string::npos) << "the prompt is for terminals";
  EXPECT_EQ(talk(c.chat(256), "").out, "");
  EXPECT_EQ(talk(c.chat(256), "猫\n/quit\n犬\n").out, "犬\n");
  const test::Outcome orders = talk(c.chat(256), "/undo\n猫\n/undo\n/system 本\n/reset\n/shout\n空\n");
  EXPECT_EQ(orders.code, 0);
  EXPECT_EQ(orders.out, "犬\n犬\n");
  for (const char* part : {"[there is no turn to forget]", "[the last turn is forgotten]", "[set]",
                           "[the conversation is forgotten]", "[/shout is no command]"})
    expect_contains(orders.err, part);
}

// A model that was fine-tuned by the program itself: it answers in the template that its folder carries.
TEST(Chat, TalksWithWhatWasTrained) {
  const test::TinyChatRun tiny;
  const std::string config = tiny.base.folder.write("sft.toml", print_config(tiny.config)).string();
  test::expect_outcome(0, {"step 20/20"}, {"train", config});
  const std::string model = tiny.config.run + "/snapshots/step-00000020";
  const Strings chat{"chat", model, "--temperature", "0", "--max-tokens", "12"};
  const test::Outcome first = talk(chat, "猫は本を見る。\n");
  EXPECT_EQ(first.code, 0) << first.err;
  EXPECT_GT(first.out.size(), 1u);
  EXPECT_EQ(first.out.find("ユーザー"), std::string::npos);
  EXPECT_EQ(talk(chat, "猫は本を見る。\n").out, first.out);
  EXPECT_EQ(talk(chat, "猫は本を見る。\n/reset\n猫は本を見る。\n").out, first.out + first.out);
}

TEST(Chat, BadLinesAreSaidAndPassedOver) {
  Chatty c;
  c.then(c.tokenizer.encode("犬"));
  c.then({c.tokenizer.eos()});
  std::string longest;
  for (int i = 0; i < 300; ++i) longest += "あ";
  const test::Outcome all = talk(c.chat(128), "x\xE3\x81\n猫\n" + longest + "\n猫\n\xFF\n");
  EXPECT_EQ(all.code, 0) << all.err;
  EXPECT_EQ(all.out, "犬\n犬\n");
  expect_contains(all.err, "[this is not UTF-8 at byte 1]");
  expect_contains(all.err, "[this is not UTF-8 at byte 0]");
  expect_contains(all.err, "the model has room for 112: say it in fewer words]");
  // Turns that no longer fit make room for new ones.
  std::string many;
  for (int i = 0; i < 12; ++i) many += "猫は本を見る。\n";
  const test::Outcome full = talk(c.chat(128), many);
  EXPECT_EQ(std::count(full.out.begin(), full.out.end(), '\n'), 12);
  expect_contains(full.err, "[the model's context is full: the 1 oldest of ");
}

TEST(Chat, RefusesWhatCannotBe) {
  Chatty c;
  c.then({c.tokenizer.eos()});
  const auto refused = [&](const std::string& part, const Strings& options) {
    EXPECT_EQ(test::expect_outcome(2, {part}, c.chat(64, options)).out, "");
  };
  refused("--system \"x\xE3\x81\" is not UTF-8 at byte 1", {"--system", "x\xE3\x81"});
  refused("--stop \"\x81\" is not UTF-8 at byte 0", {"--stop", "\x81"});
  refused("-5 new tokens are negative", {"--max-tokens", "-5"});
  refused("temperature -1 is not a number from 0 on", {"--temperature", "-1"});
  refused("--template", {"--template", "alpaca"});
}

// As for `hinoki generate`: characters of two to four bytes, a broken one, and a stop inside. The prompt ends with
// the bytes of U+2581, none of which is in them.
TEST(Chat, NoWriteEndsInsideACharacter) {
  Chatty c;
  c.then(test::byte_ids(c.tokenizer, "\xC3\xA9\xE3\x82\xAB\xF0\x9F\x90\xB1\xE4\xBD"));
  c.then(c.tokenizer.encode("空"));
  c.then({c.tokenizer.eos()});
  const auto answer = [&](Strings options) {
    options.insert(options.end(), {"--temperature", "0"});
    const test::Outcome outcome = talk(c.chat(256, options), "猫\n犬\n");
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_GE(outcome.writes.size(), 4u) << "it streams";
    for (const std::string& piece : outcome.writes) EXPECT_EQ(utf8_valid_until(piece), piece.size()) << piece;
    return outcome.out;
  };
  const std::string once = "éカ🐱\uFFFD\uFFFD空\n";
  EXPECT_EQ(answer({}), once + once);
  EXPECT_EQ(answer({"--max-tokens", "4"}), "é\uFFFD\uFFFD\né\uFFFD\uFFFD\n") << "cut in the middle of カ";
  EXPECT_EQ(answer({"--stop", "🐱"}), "éカ\néカ\n");
}

// 犬 without end, until somebody stops it.
struct Endless : Chatty {
  Endless() {
    const int32_t dog = tokenizer.encode("犬").at(0);
    then({dog, dog});
  }
  Strings chat() const { return Chatty::chat(1 << 20, {"--temperature", "0", "--max-tokens", "1000000"}); }
};

TEST(Chat, AnInterruptEndsTheAnswerAndTheConversationGoesOn) {
  const Endless c;
  test::Program program(c.chat(), {.asked = true});
  program.tell("猫\n");
  ASSERT_TRUE(program.wait_to_read("犬犬犬"));
  program.send(SIGINT);
  ASSERT_TRUE(program.wait_for("[stopped]\n"));
  program.tell("/undo\n猫\n");
  ASSERT_TRUE(program.wait_to_read("犬\n犬犬"));
  program.send(SIGINT);
  ASSERT_TRUE(program.wait_for("[stopped]\n[the last turn is forgotten]\n[stopped]\n"));
  const test::Outcome all = program.finish();
  EXPECT_EQ(all.code, 0) << all.err;
  EXPECT_TRUE(all.out.ends_with("犬\n"));
  for (const std::string& piece : all.writes) EXPECT_EQ(utf8_valid_until(piece), piece.size()) << piece;
}

// Until a signal is no longer pending: its handler runs, or has run.
void await_delivery(pid_t process) {
  const auto pending = [&] {
    const std::string status = bytes_of_file(say("/proc/", process, "/status"));
    const size_t at = status.find("ShdPnd:\t") + 8;
    return status.substr(at, 16) != std::string(16, '0');
  };
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (pending() && std::chrono::steady_clock::now() < patience) std::this_thread::yield();
  EXPECT_FALSE(pending());
}

// The shell calls it 130.
TEST(Chat, AnInterruptAtThePromptOrASecondOneEndsTheProgram) {
  const Endless c;
  test::Program waiting(c.chat(), {.asked = true});
  waiting.tell("/system 本\n");
  ASSERT_TRUE(waiting.wait_for("[set]"));
  waiting.send(SIGINT);
  EXPECT_EQ(waiting.finish().code, -SIGINT);

  test::Program stopped(c.chat(), {.asked = true});
  stopped.tell("猫\n");
  ASSERT_TRUE(stopped.wait_to_read("犬犬犬"));
  stopped.send(SIGINT);
  ASSERT_TRUE(stopped.wait_for("[stopped]\n"));
  stopped.send(SIGINT);
  EXPECT_EQ(stopped.finish().code, -SIGINT);

  // Nobody reads, so the program hangs in a write and cannot look at the first one.
  test::Program hanging(c.chat(), {.asked = true});
  hanging.tell("猫\n");
  ASSERT_TRUE(hanging.wait_to_read("犬犬犬"));
  hanging.send(SIGINT);
  await_delivery(hanging.pid());
  hanging.send(SIGINT);
  EXPECT_EQ(hanging.finish().code, -SIGINT);
}

}  // namespace
}  // namespace hinoki::end_to_end_chat_test
