// Conversations: their text, what is learned of them, where they come from, and the rows that they share.
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "core/base/file.h"
#include "data/chat_prepare.h"
#include "data/chat_rows.h"
#include "data/tokenizer_training.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace hinoki::chat_test {
namespace {

Tokenizer make_tokenizer(int64_t pieces) {
  std::vector<std::string> lines;
  for (int i = 0; i < 300; ++i)
    lines.push_back(say("ユーザー: 猫は何ですか。", i, "番の動物です。システム: 犬と空が好きです。", i * 7 % 13));
  return Tokenizer::from_bytes(train_tokenizer({.vocabulary_size = pieces, .sample_lines = 400}, lines), "chat");
}

const Tokenizer& tokenizer() {
  static const Tokenizer* const t = new Tokenizer(make_tokenizer(330));
  return *t;
}

Conversation talk() {
  return {{Speaker::user, "猫は何ですか。"},
          {Speaker::assistant, "動物です。"},
          {Speaker::user, "犬は？\n空は？"},
          {Speaker::assistant, "好きです。"}};
}

std::string text_of(const EncodedConversation& e, int32_t begin, int32_t end) {
  return tokenizer().decode(std::span(e.ids).subspan(size_t(begin), size_t(end - begin)));
}

TEST(ChatTemplate, SaysTurnsAsRinnaDoes) {
  const ChatTemplate rinna = ChatTemplate::named("rinna");
  const EncodedConversation e = rinna.encode(talk(), tokenizer());
  EXPECT_EQ(text_of(e, 0, int32_t(e.ids.size())),
            "ユーザー: 猫は何ですか。\nシステム: 動物です。\nユーザー: 犬は？\n空は？\nシステム: 好きです。");
  ASSERT_EQ(e.answers.size(), 2u);
  EXPECT_EQ(text_of(e, e.answers[0].begin, e.answers[0].end), "動物です。");
  EXPECT_EQ(text_of(e, e.answers[1].begin, e.answers[1].end), "好きです。");
  EXPECT_EQ(e.answers[1].end, int32_t(e.ids.size()));
  for (const int32_t id : e.ids) EXPECT_NE(id, tokenizer().eos());
}

TEST(ChatTemplate, APromptIsWhatAnswersWereLearnedAfter) {
  for (const std::string& name : ChatTemplate::names()) {
    const ChatTemplate t = ChatTemplate::named(name);
    for (const bool system : {false, true}) {
      Conversation all = talk();
      if (system) all.insert(all.begin(), {Speaker::system, "動物の話です。"});
      const EncodedConversation e = t.encode(all, tokenizer());
      for (size_t k = 0; k < 2; ++k) {
        const Conversation asked(all.begin(), all.begin() + int64_t(system + 1 + 2 * k));
        EXPECT_EQ(t.prompt(asked, tokenizer()), std::vector(e.ids.begin(), e.ids.begin() + e.answers[k].begin)) << name;
      }
    }
  }
  EXPECT_ERROR(ChatTemplate::named("alpaca"), Exit::usage, "rinna and chatml are");
}

TEST(ChatTemplate, IsReadFromEitherFile) {
  const TemporaryFolder folder;
  EXPECT_EQ(read_chat_template(folder / ""), "");
  folder.write("tokenizer_config.json", R"({"eos_token": "</s>"})");
  EXPECT_EQ(read_chat_template(folder / ""), "");
  folder.write("tokenizer_config.json", R"({"chat_template": "older"})");
  EXPECT_EQ(read_chat_template(folder / ""), "older");
  folder.write("chat_template.jinja", "newer");
  EXPECT_EQ(read_chat_template(folder / ""), "newer");
  folder.write("chat_template.jinja", std::string((16 << 20) + 1, ' '));
  EXPECT_ERROR(read_chat_template(folder / ""), Exit::data, "chat_template.jinja: has 16777217 bytes");
}

TEST(ChatTemplate, FaultsAreNamed) {
  const auto fault = [](Conversation c) { return fault_of(c, Speaker::assistant); };
  EXPECT_EQ(fault(talk()), "");
  EXPECT_EQ(fault({}), "it has no turns");
  EXPECT_EQ(fault({{Speaker::system, "x"}}), "it has only a system's turn");
  EXPECT_EQ(fault({{Speaker::user, " \u3000\n"}, {Speaker::assistant, "x"}}), "the turn of the user is empty");
  EXPECT_EQ(fault({{Speaker::user, "x"}, {Speaker::assistant, ""}}), "the turn of the assistant is empty");
  EXPECT_NE(fault({{Speaker::user, "x"}, {Speaker::user, "y"}}).find("turn 2 is the user's"), std::string::npos);
  EXPECT_NE(fault({{Speaker::assistant, "x"}}).find("turn 1 is the assistant's"), std::string::npos);
  EXPECT_EQ(fault({{Speaker::user, "x"}}), "it ends with the turn of the user");
  EXPECT_EQ(fault_of({{Speaker::user, "x"}}, Speaker::user), "");
}

struct Prepared {
  TemporaryFolder folder;
  ChatPreparation settings;

  explicit Prepared(const std::string& lines) {
    folder.write("in.jsonl", lines);
    settings.inputs = {folder / "in.jsonl"};
    settings.output = folder / "out";
    settings.validation_fraction = 0;
    std::filesystem::create_directories(folder / "out");
  }
  ChatReport run() { return prepare_chat(tokenizer(), settings); }
  ChatCorpus corpus(const std::string& split = "train", const char* kind = kConversations) const {
    return {settings.output, split, kind, tokenizer().hash()};
  }
};

TEST(ChatPreparation, KnowsEveryForm) {
  Prepared p(R"({"messages": [{"role": "user", "content": "猫"}, {"role": "assistant", "content": "犬"}], "id": 4}
{"prompt": "猫", "completion": "犬"}

{"instruction": "猫", "input": "", "output": "犬"}
{"instruction": "猫", "output": "犬"}
{"instruction": "猫", "input": "空", "output": "犬"}
)");
  const ChatReport r = p.run();
  EXPECT_EQ(r.records, 5);
  const ChatCorpus corpus = p.corpus();
  ASSERT_EQ(corpus.count(), 5);
  const auto text = [&](int64_t i) { return tokenizer().decode(corpus.ids(i)); };
  for (int i = 0; i < 4; ++i) EXPECT_EQ(text(i), "ユーザー: 猫\nシステム: 犬") << i;
  EXPECT_EQ(text(4), "ユーザー: 猫\n空\nシステム: 犬");
  EXPECT_EQ(r.train.targets, corpus.targets());
  EXPECT_EQ(corpus.info().end, tokenizer().eos());
}

TEST(ChatPreparation, NamesWhatCannotBeUsed) {
  const std::pair<const char*, const char*> faults[] = {
      {R"({"messages": []})", "it has no turns"},
      {R"({"messages": [{"role": "system", "content": "x"}]})", "only a system's turn"},
      {R"({"messages": [{"role": "tool", "content": "x"}]})", "the role \"tool\" is not known"},
      {R"({"messages": [{"role": "user", "content": null}]})", "\"content\" is not a text"},
      {R"({"prompt": "x", "completion": "  "})", "the turn of the assistant is empty"},
      {R"({"text": "x"})", "none of the keys"},
      {R"({"instruction": "x"})", "there is no \"output\""},
      {R"(["x"])", "not an object"},
      {R"({"prompt": "x", )", "in.jsonl:1"},
      {"{\"prompt\": \"\xff\", \"completion\": \"x\"}", "not UTF-8 at byte 12"}};
  for (const auto& [line, why] : faults) {
    Prepared p(std::string(line) + "\n" + R"({"prompt": "x", "completion": "y"})" + "\n");
    EXPECT_ERROR(p.run(), Exit::data, why);
    EXPECT_FALSE(std::filesystem::exists(p.settings.output / "train.h5"));
    p.settings.skip_faults = true;
    const ChatReport r = p.run();
    EXPECT_EQ(r.faults, 1);
    EXPECT_NE(r.first_fault.find(why), std::string::npos) << r.first_fault;
    EXPECT_EQ(r.train.examples, 1);
    EXPECT_ERROR(p.run(), Exit::usage, "--overwrite");
  }
}

TEST(ChatPreparation, PreferencesArePairs) {
  Prepared p(R"({"prompt": "猫は？", "chosen": "犬です。", "rejected": "空"}
{"prompt": [{"role": "user", "content": "猫"}], "chosen": "犬", "rejected": "空"}
)");
  p.settings.kind = ChatSource::Kind::preferences;
  p.run();
  const ChatCorpus corpus = p.corpus("train", kPreferences);
  ASSERT_EQ(corpus.count(), 4);
  EXPECT_EQ(tokenizer().decode(corpus.ids(0)), "ユーザー: 猫は？\nシステム: 犬です。");
  EXPECT_EQ(tokenizer().decode(corpus.ids(1)), "ユーザー: 猫は？\nシステム: 空");
  EXPECT_ERROR(p.corpus(), Exit::data, "hinoki data chat");
  for (const auto& [line, why] : {std::pair{R"({"prompt": "x", "chosen": "y", "rejected": "y"})", "are the same"},
                                  {R"({"prompt": "x", "chosen": "y", "rejected": ""})", "is empty"},
                                  {R"({"prompt": [], "chosen": "y", "rejected": "z"})", "no turns"}}) {
    Prepared bad(line);
    bad.settings.kind = ChatSource::Kind::preferences;
    EXPECT_ERROR(bad.run(), Exit::data, why);
  }
}

TEST(ChatPreparation, AQuestionIsInOneSplit) {
  std::string lines;
  for (int i = 0; i < 400; ++i)
    for (const char* answer : {"犬", "空"})
      lines += say(R"({"prompt": "猫は)", i, R"(番？", "completion": ")", answer, "\"}\n");
  Prepared p(lines);
  p.settings.validation_fraction = 0.25;
  const ChatReport r = p.run();
  EXPECT_NEAR(double(r.validation.examples), 200, 60);
  std::set<std::string> train, validation;
  const auto questions = [](const ChatCorpus& c, std::set<std::string>& out) {
    for (int64_t i = 0; i < c.count(); ++i)
      out.insert(tokenizer().decode(c.ids(i).first(size_t(c.answers(i)[0].begin))));
  };
  questions(p.corpus(), train);
  questions(p.corpus("validation"), validation);
  for (const std::string& q : validation) EXPECT_FALSE(train.contains(q)) << q;
  const auto bytes = [&] { return read_file((p.settings.output / "train.h5").string(), 1 << 24); };
  const std::string first = bytes();
  p.settings.overwrite = true;
  p.run();
  EXPECT_EQ(bytes(), first);
  // Held out by hand.
  p.folder.write("held.jsonl", R"({"prompt": "空", "completion": "犬"})");
  p.settings.validation_inputs = {p.folder / "held.jsonl"};
  EXPECT_EQ(p.run().validation.examples, 1);
  EXPECT_EQ(p.corpus().count(), 800);
}

// Rows of a corpus of `answers` answers of different lengths.
std::string many(int answers) {
  std::string lines;
  for (int i = 0; i < answers; ++i) {
    std::string answer;
    for (int k = 0; k <= i % 7; ++k) answer += "犬と空が好きです。";
    lines += say(R"({"prompt": "猫は)", i, R"(番？", "completion": ")", answer, "\"}\n");
  }
  return lines;
}

TEST(ChatPreparation, AnswersMustHaveAnEnd) {
  Prepared p(many(3));
  // A second trainer_spec, which protobuf merges with the first: its eos_piece (field 47) is in no vocabulary.
  const Tokenizer endless = Tokenizer::from_bytes(tokenizer().bytes() + "\x12\x07\xFA\x02\x04none", "endless");
  EXPECT_EQ(endless.eos(), -1);
  EXPECT_ERROR(prepare_chat(endless, p.settings), Exit::data, "has no end of text");
}

// Data of two preparations never stands side by side: what cannot be finished leaves the old data, or none.
TEST(ChatPreparation, OverwritingIsAllOrNothing) {
  Prepared p(many(40));
  p.settings.validation_fraction = 0.3;
  p.run();
  const auto all = [&] {
    std::string bytes;
    for (const char* name : {"train.h5", "validation.h5", "spiece.model"})
      bytes += read_file((p.settings.output / name).string(), 1 << 24);
    return bytes;
  };
  const std::string before = all();
  const Tokenizer other = make_tokenizer(325);
  p.settings.overwrite = true;
  p.folder.write("in.jsonl", many(40) + "{}\n");
  EXPECT_ERROR(prepare_chat(other, p.settings), Exit::data, "in.jsonl:41");
  EXPECT_TRUE(all() == before);

  p.folder.write("in.jsonl", many(39));
  std::filesystem::remove(p.settings.output / "validation.h5");
  std::filesystem::create_directory(p.settings.output / "validation.h5");  // cannot get its name
  EXPECT_ANY_THROW(p.run());
  EXPECT_FALSE(std::filesystem::exists(p.settings.output / "train.h5"));
}

TEST(ChatCorpus, DamageIsNamed) {
  Prepared p(R"({"prompt": "猫", "completion": "犬です。"})");
  p.run();
  const std::filesystem::path file = p.settings.output / "train.h5";
  const std::string good = read_file(file.string(), 1 << 24);
  int named = 0;
  for (size_t at = 0, used = 0; at < good.size(); ++at) {
    if (good[at] == 0 || used++ % 40 != 0) continue;  // chunks are mostly empty
    std::string bad = good;
    bad[at] = char(bad[at] ^ 4);
    std::ofstream(file, std::ios::binary) << bad;
    try {
      const ChatCorpus c = p.corpus();
      EXPECT_EQ(tokenizer().decode(c.ids(0)), "ユーザー: 猫\nシステム: 犬です。") << at;  // a bit that nobody reads
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find("train.h5"), std::string::npos) << e.what();
      ++named;
    }
  }
  EXPECT_GT(named, 5);
}

struct RowArrays {
  std::vector<int32_t> ids, labels, segments;
  explicit RowArrays(int64_t n) : ids(size_t(n)), labels(size_t(n)), segments(size_t(n)) {}
  ChatRows::Row row() { return {ids, labels, segments}; }
};

TEST(ChatRows, HoldEveryExampleOnceAndLearnItsAnswersAlone) {
  Prepared p(many(200));
  p.run();
  const ChatCorpus corpus = p.corpus();
  const ChatRows rows(corpus, {.length = 128}, 3);
  EXPECT_GT(rows.filled(), 0.9);
  std::multiset<std::vector<int32_t>> seen, expected;
  int64_t targets = 0;
  for (int64_t position = rows.count(); position < 2 * rows.count(); ++position) {  // of the second epoch
    RowArrays r(128);
    rows.fill(position, r.row());
    for (size_t begin = 0, end; begin < r.ids.size(); begin = end) {
      for (end = begin; end < r.ids.size() && r.segments[end] == r.segments[begin]; ++end) {
      }
      const std::vector<int32_t> ids(r.ids.begin() + int64_t(begin), r.ids.begin() + int64_t(end));
      if (r.ids[begin] == 0) break;  // padding
      seen.insert(ids);
      // Everything but the question is a label: the answer, and then the end.
      std::vector<int32_t> learned;
      for (size_t t = begin; t < end; ++t)
        if (r.labels[t] != ChatRows::kIgnored) learned.push_back(r.labels[t]);
      ASSERT_FALSE(learned.empty());
      EXPECT_EQ(learned.back(), tokenizer().eos());
      EXPECT_EQ(std::vector(ids.end() - int64_t(learned.size()) + 1, ids.end()),
                std::vector(learned.begin(), learned.end() - 1));
      targets += int64_t(learned.size());
    }
  }
  for (int64_t i = 0; i < corpus.count(); ++i) expected.emplace(corpus.ids(i).begin(), corpus.ids(i).end());
  EXPECT_EQ(seen, expected);
  EXPECT_EQ(targets, corpus.targets());
  int64_t told = 0;
  for (int64_t row = 0; row < rows.count(); ++row) told += rows.targets(row);
  EXPECT_EQ(told, targets);
  EXPECT_ERROR(ChatRows(p.corpus("validation"), {.length = 128}, 3), Exit::data, "holds nothing");
  const ChatRows alone(corpus, {.length = 128, .packed = false}, 3);
  EXPECT_EQ(alone.count(), 200);
}

TEST(ChatRows, WhatIsTooLongIsRefusedDroppedOrCut) {
  Prepared p(many(7));  // the longest has seven sentences
  p.run();
  const ChatCorpus corpus = p.corpus();
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < 7; ++i) lengths.push_back(int64_t(corpus.ids(i).size()));
  const int64_t length = lengths[6] - 3;
  EXPECT_ERROR(ChatRows(corpus, {.length = length}, 1), Exit::data, "example 6 has");
  EXPECT_EQ(ChatRows(corpus, {.length = length, .overlong = Overlong::drop}, 1).dropped(), 1);
  const ChatRows cut(corpus, {.length = length, .packed = false, .overlong = Overlong::truncate}, 1);
  EXPECT_EQ(cut.truncated(), 1);
  RowArrays r(length);
  cut.fill_row(0, r.row());  // the longest
  EXPECT_TRUE(std::equal(r.ids.begin(), r.ids.end(), corpus.ids(6).begin() + 3));
  const Answer a = corpus.answers(6)[0];
  EXPECT_EQ(r.labels[size_t(a.begin - 3 - 1)], corpus.ids(6)[size_t(a.begin)]);
  EXPECT_EQ(r.labels.back(), tokenizer().eos());
  // Nothing would be left to answer after.
  const ChatRows none(corpus, {.length = a.end - a.begin, .overlong = Overlong::truncate}, 1);
  EXPECT_EQ(
      none.truncated() + none.dropped(), 7 - [&] {
        int fit = 0;
        for (const int64_t n : lengths) fit += n <= a.end - a.begin;
        return fit;
      }());
  EXPECT_GT(none.dropped(), 0);
}

// Both texts of a preference, side by side, with the same beginning and labels of the answers alone.
TEST(ChatRows, PreferencesComeInPairs) {
  std::string lines;
  for (int i = 0; i < 50; ++i)
    lines += say("{\"prompt\": [{\"role\": \"user\", \"content\": \"", i, "は\"}, {\"role\": \"assistant\", \"content\": \"何\"}, ",
                 "{\"role\": \"user\", \"content\": \"猫\"}], \"chosen\": \"犬です。\", \"rejected\": \"本",
                 std::string(size_t(i % 7) * 3, '.'), "\"}\n");
  Prepared p(lines);
  p.settings.kind = ChatSource::Kind::preferences;
  p.run();
  const ChatCorpus corpus(p.settings.output, "train", kPreferences, tokenizer().hash());
  const int64_t length = 128;
  const ChatRows rows(corpus, {.length = length, .ended = true}, 3);
  std::set<int64_t> seen;
  for (int64_t row = 0; row < rows.count(); ++row) {
    RowArrays r(length);
    rows.fill_row(row, r.row());
    const std::vector<ChatSpan> spans = rows.spans(row);
    ASSERT_EQ(spans.size() % 2, 0u);
    int64_t at = 0, targets = 0;
    for (size_t i = 0; i < spans.size(); ++i) {
      EXPECT_EQ(spans[i].begin, at);
      at = spans[i].end;
      EXPECT_EQ(spans[i].example, spans[i & ~size_t{1}].example + int64_t(i % 2));
      seen.insert(spans[i].example);
      const auto ids = corpus.ids(spans[i].example);
      EXPECT_TRUE(std::equal(ids.begin(), ids.end(), r.ids.begin() + spans[i].begin));
      EXPECT_EQ(r.ids[size_t(at - 1)], tokenizer().eos());
      const Answer last = corpus.answers(spans[i].example).back();
      for (int64_t t = spans[i].begin; t < at; ++t) {
        const int64_t in = t - spans[i].begin;
        const bool answered = last.begin - 1 <= in && in <= last.end - 1;
        EXPECT_EQ(r.labels[size_t(t)] != ChatRows::kIgnored, answered) << in;
        targets += answered;
        EXPECT_EQ(r.segments[size_t(t)], int32_t(i));
      }
    }
    EXPECT_EQ(rows.targets(row), targets);
  }
  EXPECT_EQ(int64_t(seen.size()), corpus.count());

  // Cut short, both begin at the same token.
  int64_t longest = 0;
  for (int64_t i = 0; i < corpus.count(); ++i) longest = std::max(longest, int64_t(corpus.ids(i).size()));
  const ChatRows cut(corpus, {.length = 2 * (longest - 2), .packed = false, .overlong = Overlong::truncate}, 1);
  EXPECT_GT(cut.truncated(), 0);
  for (int64_t row = 0; row < cut.count(); ++row) {
    const auto lost = [&](const ChatSpan& s) { return int64_t(corpus.ids(s.example).size()) - (s.end - s.begin); };
    const std::vector<ChatSpan> spans = cut.spans(row);
    EXPECT_EQ(lost(spans[0]), lost(spans[1]));
  }
  EXPECT_ERROR(ChatRows(corpus, {.length = 2 * longest - 2}, 1), Exit::data, " for two; set data.sequence to more");
}

}  // namespace
}  // namespace hinoki::chat_test
