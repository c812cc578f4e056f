#include "train/bench_text.h"

#include <sentencepiece_processor.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <unordered_set>

#include "core/base/check.h"
#include "core/base/clock.h"
#include "data/text_prepare.h"

namespace hinoki {
namespace {

// Pieces of all lines by the library alone, lines handed out in small groups.
int64_t encode_all(const std::string& model, const std::vector<std::string>& lines, int threads) {
  sentencepiece::SentencePieceProcessor processor;
  require<Exit::data>(processor.LoadFromSerializedProto(model).ok(), "the tokenizer is no sentencepiece model");
  constexpr size_t kGroup = 64;
  std::atomic<size_t> next{0};
  std::atomic<int64_t> pieces{0};
  const auto work = [&] {
    std::vector<int> ids;
    int64_t mine = 0;
    for (size_t begin; (begin = next.fetch_add(kGroup)) < lines.size();)
      for (size_t i = begin; i < std::min(begin + kGroup, lines.size()); ++i) {
        if (processor.Encode(lines[i], &ids).ok()) mine += int64_t(ids.size());
      }
    pieces += mine;
  };
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back(work);
  work();
  for (std::thread& t : others) t.join();
  return pieces;
}

}  // namespace

TextSpeed bench_text(const std::string& tokenizer_path, const std::string& input, int threads) {
  const Tokenizer tokenizer = Tokenizer::load(tokenizer_path);
  const auto folder = std::filesystem::temp_directory_path() / ("hinoki-bench-" + std::to_string(getpid()));
  const TextPreparation settings{.inputs = {input}, .output = folder, .threads = threads, .overwrite = true};
  TextSpeed speed;
  std::vector<std::string> lines;
  std::unordered_set<std::string> seen;
  for_each_line(settings, [&](std::string_view line) {
    if (!seen.emplace(line).second) return;
    lines.emplace_back(line);
    speed.bytes += int64_t(line.size());
  });
  seen.clear();
  speed.lines = int64_t(lines.size());

  double start = steady_seconds();
  speed.bare_tokens = encode_all(tokenizer.bytes(), lines, threads);
  speed.bare_seconds = steady_seconds() - start;
  start = steady_seconds();
  const TextReport report = prepare_text(tokenizer, settings);
  speed.prepare_seconds = steady_seconds() - start;
  speed.prepare_tokens = report.train.tokens + report.validation.tokens;
  std::filesystem::remove_all(folder);
  return speed;
}

}  // namespace hinoki
