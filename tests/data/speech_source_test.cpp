#include "data/speech_source.h"

#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace hinoki::speech_source_test {
namespace {

using Path = std::filesystem::path;

// "path (from the folder)|transcript|id|kana" of each utterance, or "line!fault".
std::vector<std::string> told(const std::vector<Path>& inputs, const Path& folder) {
  std::vector<std::string> all;
  SpeechSource source(inputs);
  while (const auto e = source.next())
    all.push_back(e->error ? e->place.substr(e->place.rfind('/') + 1) + "!" + name_of(e->error->fault)
                           : e->path.lexically_relative(folder).string() + "|" + e->texts.transcript + "|" +
                                 e->texts.id + "|" + e->texts.kana);
  return all;
}

using Lines = std::vector<std::string>;

}  // namespace

TEST(SpeechSource, FoldersGiveTheirSoundsInOrder) {
  const TemporaryFolder folder;
  for (const char* name : {"in/b.WAV", "in/a/z.flac", "in/a/y.txt", "in/a/.hidden.wav", "in/.git/x.wav", "in/c.opus",
                           "in/a/深/声.ogg", "in/\xFF.wav", "in/wav"})
    folder.write(name, "");
  std::filesystem::create_directory_symlink("..", folder / "in/a/up");
  EXPECT_EQ(told({folder / "in"}, folder / "in"),
            (Lines{"a/z.flac||a/z|", "a/深/声.ogg||a/深/声|", "b.WAV||b|", "c.opus||c|", "\xFF.wav!text"}));
  EXPECT_EQ(told({folder / "in/c.opus", folder / "in/a"}, folder / "in"),
            (Lines{"c.opus||c|", "a/z.flac||z|", "a/深/声.ogg||深/声|"}));
}

TEST(SpeechSource, TsvTakesColumnsByPlaceOrByName) {
  const TemporaryFolder folder;
  folder.write("plain.tsv", "a.wav\nb/c.wav\t春の 夜 \tid-1\tハルノ\r\n\n/x/d.wav\t\tid-2");
  EXPECT_EQ(told({folder / "plain.tsv"}, folder.path()),
            (Lines{"a.wav||a|", "b/c.wav|春の 夜|id-1|ハルノ",
                   Path("/x/d.wav").lexically_relative(folder.path()).string() + "||id-2|"}));
  folder.write("named.tsv", "\xEF\xBB\xBFspeaker\tkana\tpath\ttranscript\nme\tハル\ta.wav\t春\nyou\t\tb.wav\n");
  EXPECT_EQ(told({folder / "named.tsv"}, folder.path()), (Lines{"a.wav|春|a|ハル", "b.wav||b|"}));
}

TEST(SpeechSource, JsonLines) {
  const TemporaryFolder folder;
  folder.write("m.jsonl", R"({"path": "a.wav", "transcript": "一\n二\u0007三", "n": [1]}
{"id": "x", "path": "b.wav", "kana": "イチ", "transcript": null}
)");
  EXPECT_EQ(told({folder / "m.jsonl"}, folder.path()), (Lines{"a.wav|一 二三|a|", "b.wav||x|イチ"}));
}

TEST(SpeechSource, KaldiFolders) {
  const TemporaryFolder folder;
  folder.write("k/wav.scp", "u1  a b.wav\nu2\tc.wav\nu4 d.wav\nu5 sox x.wav - |\n");
  folder.write("k/text", "u0 ほか\nu2 明日は　晴れ\nu3 ほか\nu4\n");
  folder.write("k/kana", "u4 ハレ\n");
  EXPECT_EQ(told({folder / "k"}, folder / "k"),
            (Lines{"a b.wav||u1|", "c.wav|明日は　晴れ|u2|", "d.wav||u4|ハレ", "wav.scp:4!manifest"}));
  EXPECT_EQ(told({folder / "k/wav.scp"}, folder / "k").size(), 4u);
  folder.write("k/text", "u2 い\nu1 ろ\n");
  EXPECT_ERROR(told({folder / "k"}, folder.path()), Exit::data, "text:2: the id \"u1\" does not come after");
  folder.write("k/text", "u1 い\n");
  folder.write("k/wav.scp", "u2 a.wav\nu2 b.wav\n");
  EXPECT_ERROR(told({folder / "k"}, folder.path()), Exit::data, "wav.scp:2: the id \"u2\" does not come after");
  folder.write("k/segments", "");
  EXPECT_ERROR(told({folder / "k"}, folder.path()), Exit::data, "segments");
}

TEST(SpeechSource, HostileLinesCostOneUtteranceEach) {
  const TemporaryFolder folder;
  folder.write("m.tsv", "a.wav\tgood\n\tno path\nb.wav\t\xE3\x81\n" + std::string("c\0.wav\n", 7) +
                            "d.wav\t1\t2\t3\t4\n" + std::string(3 << 20, 'x') + "\ne.wav\tgood\n");
  EXPECT_EQ(told({folder / "m.tsv"}, folder.path()),
            (Lines{"a.wav|good|a|", "m.tsv:2!manifest", "m.tsv:3!text", "m.tsv:4!manifest", "m.tsv:5!manifest",
                   "m.tsv:6!manifest", "e.wav|good|e|"}));
  folder.write("m.jsonl",
               "{\"path\": 1}\n[]\n{\"path\": \"a\", \"path\": \"b\"}\n{\"path\": \"\"}\n{\"path\": \"x\\u0000\"}\n" +
                   std::string(2000, '[') + "\n{\"path\": \"a\xFF\"}\n{\"path\": \"ok\"}\n{");
  EXPECT_EQ(told({folder / "m.jsonl"}, folder.path()),
            (Lines{"m.jsonl:1!manifest", "m.jsonl:2!manifest", "m.jsonl:3!manifest", "m.jsonl:4!manifest",
                   "m.jsonl:5!manifest", "m.jsonl:6!manifest", "m.jsonl:7!text", "ok||ok|", "m.jsonl:9!manifest"}));
}

TEST(SpeechSource, InputsThatCannotBeReadAreErrors) {
  const TemporaryFolder folder;
  EXPECT_ERROR(told({folder / "nothing"}, folder.path()), Exit::data, "No such file or directory");
  EXPECT_ERROR(told({folder.write("a.mp3", "")}, folder.path()), Exit::usage, "neither a folder, nor a manifest");
  EXPECT_ERROR(told({folder.write("a.tsv", "path\tpath\n")}, folder.path()), Exit::data, "a.tsv:1: two columns");
}

TEST(SpeechSource, HashFollowsWhatTheInputsSay) {
  const TemporaryFolder folder;
  folder.write("in/a.wav", "1");
  folder.write("k/wav.scp", "u a.wav\n");
  const std::vector<Path> inputs{folder / "in", folder / "k"};
  std::vector<std::string> hashes{hash_speech_inputs(inputs)};
  EXPECT_EQ(hash_speech_inputs(inputs), hashes[0]);
  folder.write("in/a.wav", "12");
  hashes.push_back(hash_speech_inputs(inputs));
  folder.write("in/b.wav", "");
  hashes.push_back(hash_speech_inputs(inputs));
  folder.write("k/text", "u い\n");
  hashes.push_back(hash_speech_inputs(inputs));
  folder.write("k/wav.scp", "u b.wav\n");
  hashes.push_back(hash_speech_inputs(inputs));
  for (size_t i = 1; i < hashes.size(); ++i) EXPECT_NE(hashes[i], hashes[i - 1]);
}

}  // namespace hinoki::speech_source_test
