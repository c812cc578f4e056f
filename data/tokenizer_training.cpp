#include "data/tokenizer_training.h"

#include <sentencepiece_trainer.h>

#include <algorithm>
#include <unordered_map>

#include "core/base/check.h"
#include "data/text_split.h"

namespace hinoki {
namespace {

constexpr size_t kLongestSentence = 4000;  // the library's own limit is 4192 bytes

class Lines : public sentencepiece::SentenceIterator {
 public:
  explicit Lines(const std::vector<std::string>& lines) : lines_(lines) {}
  bool done() const override { return at_ == lines_.size(); }
  void Next() override { ++at_; }
  const std::string& value() const override { return lines_[at_]; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  const std::vector<std::string>& lines_;
  size_t at_ = 0;
};

// Comma-separated, quoted where needed.
std::string listed(const std::vector<std::string>& symbols) {
  std::string out;
  for (const std::string& s : symbols) {
    if (!out.empty()) out += ',';
    if (s.find_first_of(",\"\n") == s.npos) {
      out += s;
      continue;
    }
    out += '"';
    for (const char c : s) out += c == '"' ? std::string("\"\"") : std::string(1, c);
    out += '"';
  }
  return out;
}

}  // namespace

LineSample::LineSample(int64_t limit) : limit_(limit) {
  require<Exit::usage>(limit > 0, "a sample of ", limit, " lines cannot train a tokenizer");
}

void LineSample::add(std::string_view line) {
  while (!line.empty()) {
    const size_t cut = cut_at(line, kLongestSentence);
    add_short(line.substr(0, cut));
    line.remove_prefix(cut);
  }
}

void LineSample::add_short(std::string_view line) {
  ++seen_;
  const Hash128 hash = hash128(line);
  if (hash > largest_) return;
  entries_.push_back({hash, std::string(line)});
  if (int64_t(entries_.size()) >= 2 * limit_) prune();
}

void LineSample::prune() {
  std::sort(entries_.begin(), entries_.end());
  const auto same = [](const Entry& a, const Entry& b) { return a.hash == b.hash; };
  entries_.erase(std::unique(entries_.begin(), entries_.end(), same), entries_.end());
  if (int64_t(entries_.size()) < limit_) return;
  entries_.resize(limit_);
  largest_ = entries_.back().hash;
}

std::vector<std::string> LineSample::take() {
  prune();
  std::vector<std::string> lines;
  for (Entry& e : entries_) lines.push_back(std::move(e.line));
  entries_.clear();
  return lines;
}

std::string train_tokenizer(const TokenizerTraining& settings, std::vector<std::string> lines) {
  require<Exit::data>(!lines.empty(), "there is no text to train a tokenizer on");
  const auto fixed = int64_t(4 + settings.control_symbols.size() + 1 + settings.user_symbols.size() + 256);
  require<Exit::usage>(settings.vocabulary_size > fixed, "a vocabulary of ", settings.vocabulary_size,
                       " pieces is too small: the special symbols and the 256 bytes alone are ", fixed);
  std::vector<std::string> user{settings.newline == Newline::plain ? "\n" : std::string(kNewlineSymbol)};
  user.insert(user.end(), settings.user_symbols.begin(), settings.user_symbols.end());
  const std::unordered_map<std::string, std::string> flags{
      {"model_type", "unigram"},
      {"vocab_size", std::to_string(settings.vocabulary_size)},
      {"character_coverage", say(settings.character_coverage)},
      {"byte_fallback", "true"},
      {"add_dummy_prefix", "false"},
      {"remove_extra_whitespaces", "false"},
      {"normalization_rule_name", settings.nfkc ? "nfkc" : "identity"},
      {"user_defined_symbols", listed(user)},
      {"control_symbols", listed(settings.control_symbols)},
      {"unk_id", "0"},
      {"pad_id", "1"},
      {"pad_piece", "[PAD]"},
      {"bos_id", "2"},
      {"eos_id", "3"},
      // Expectations are summed per thread, so the number of threads is part of the result.
      {"num_threads", "16"},
      {"minloglevel", "2"},
  };
  Lines iterator(lines);
  std::string model;
  const auto status = sentencepiece::SentencePieceTrainer::Train(flags, &iterator, &model);
  require<Exit::data>(status.ok(), "sentencepiece cannot train a tokenizer of ", settings.vocabulary_size,
                      " pieces on ", lines.size(), " lines: ", status.message());
  return model;
}

}  // namespace hinoki
