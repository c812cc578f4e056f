#include "tests/support/tiny_run.h"

#include "core/base/philox.h"
#include "data/token_shard.h"
#include "data/tokenizer_training.h"

namespace hinoki::test {
namespace {

// Sentences of a toy grammar, so that there is something to learn.
std::string sentence(uint64_t n) {
  const char* who[] = {"猫", "犬", "先生", "私", "彼女"};
  const char* what[] = {"本", "水", "コマンド", "ファイル", "空"};
  const char* does[] = {"を見る。", "を読みます。", "が好きだ。", "を使う。", "を消した。"};
  const Random4 r = philox({.seed = 9}, n);
  return std::string(who[r[0] % 5]) + "は" + what[r[1] % 5] + does[r[2] % 5];
}

void write_shard(const std::filesystem::path& folder, const std::string& split, const Tokenizer& tokenizer, uint64_t first) {
  TokenShardWriter shard(shard_path(folder, split, 0),
                         {.split = split, .tokenizer_hash = tokenizer.hash(), .vocabulary_size = tokenizer.size()});
  for (uint64_t i = first; i < first + 300; ++i) {
    const std::string text = sentence(i);
    std::vector<int32_t> ids = tokenizer.encode(text);
    ids.push_back(tokenizer.eos());
    shard.append(ids);
    shard.end_document(int64_t(text.size()), int64_t(text.size() / 3));
  }
  shard.publish();
}

}  // namespace

TinyRun::TinyRun() {
  std::vector<std::string> lines;
  for (uint64_t i = 0; i < 400; ++i) lines.push_back(sentence(i));
  const auto model = folder.write("spiece.model", train_tokenizer({.vocabulary_size = 320, .sample_lines = 400}, lines));
  const Tokenizer tokenizer = Tokenizer::load(model);
  std::filesystem::create_directories(folder / "tokens");
  write_shard(folder / "tokens", "train", tokenizer, 0);
  write_shard(folder / "tokens", "validation", tokenizer, 10'000);

  config.model.gpt_neox = {.vocab_size = 384, .hidden_size = 32, .num_hidden_layers = 2, .num_attention_heads = 2,
                           .intermediate_size = 64, .max_position_embeddings = 64, .hidden_dropout = 0.1,
                           .attention_dropout = 0.1};
  config.data = {.corpora = {{.path = (folder / "tokens").string()}}, .tokenizer = model.string(), .sequence = 16};
  config.train = {.steps = 20, .batch = 3, .micro_batches = 2, .seed = 11};
  config.learning_rate = {.peak = 1e-2, .warmup = 3};
  config.samples.prompts = {"猫は"};
  config.samples.tokens = 8;
  config.run = (folder / "run").string();
}

GptConfig TinyRun::in(const std::string& run) const {
  GptConfig other = config;
  other.run = (folder / run).string();
  return other;
}

}  // namespace hinoki::test
