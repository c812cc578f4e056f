// Makes a sentencepiece model from text. The same lines, in any order and from any place, give the same bytes: the
// sample is the lines with the smallest hashes, so that the library's own sampling, the only thing it draws lots for,
// is off; its thread count (which changes its sums) is fixed here; and no file names reach it.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/hash128.h"
#include "data/tokenizer.h"

namespace hinoki {

// Ids 0 to 3 are <unk>, [PAD], <s>, </s>; then come the control symbols, the newline, the user symbols, 256 bytes, and
// what was learned.
struct TokenizerTraining {
  int64_t vocabulary_size = 32000;
  int64_t sample_lines = 60000;
  Newline newline = Newline::plain;
  bool nfkc = false;  // normalise in the model: full- and half-width forms become one
  double character_coverage = 0.9995;
  std::vector<std::string> user_symbols = {};
  std::vector<std::string> control_symbols = {"[CLS]", "[SEP]", "[MASK]"};
};

// Keeps `limit` different lines of all that are added: those whose hashes are smallest. Lines over 4000 bytes are cut
// at 。 or between characters, because the library leaves out long ones.
class LineSample {
 public:
  explicit LineSample(int64_t limit);
  void add(std::string_view line);
  int64_t seen() const { return seen_; }
  std::vector<std::string> take();  // in the order of their hashes

 private:
  void add_short(std::string_view line);
  void prune();

  struct Entry {
    Hash128 hash;
    std::string line;
    bool operator<(const Entry& other) const { return hash < other.hash; }
  };
  int64_t limit_, seen_ = 0;
  Hash128 largest_{~0ull, ~0ull};  // what is above it cannot come in
  std::vector<Entry> entries_;     // pruned to the limit whenever it has grown to twice that
};

// The bytes of spiece.model.
std::string train_tokenizer(const TokenizerTraining& settings, std::vector<std::string> lines);

}  // namespace hinoki
