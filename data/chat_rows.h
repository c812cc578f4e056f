// Examples of a chat corpus in rows of fixed length: several short ones share a row, each a segment of its own that
// attention does not leave. Which examples share a row depends on their lengths alone; the order of rows is shuffled
// for every epoch, a function of the seed. The two examples of a preference are always in one row, chosen and rejected,
// each at most half as long as the row; their last answers alone are labelled.
#pragma once
#include "data/chat_corpus.h"

namespace hinoki {

// What becomes of an example that is longer than a row.
enum class Overlong { refuse, drop, truncate };

struct ChatRowRules {
  int64_t length = 256;                  // tokens
  bool packed = true;                    // else every row has one example
  Overlong overlong = Overlong::refuse;  // truncate: from the left, and answers that would lose tokens are not learned
  bool ended = false;                    // the end of the text follows each example, and takes a place
};

// Where an example lies in a row.
struct ChatSpan {
  int64_t example, begin, end;
};

class ChatRows {
 public:
  static constexpr int32_t kIgnored = -100;

  // `corpus` lives as long. Exit::data names an example that is too long, or that there is nothing to learn from.
  ChatRows(const ChatCorpus& corpus, const ChatRowRules& rules, uint64_t seed);

  int64_t count() const { return int64_t(rows_.size()); }
  int64_t dropped() const { return dropped_; }      // examples
  int64_t truncated() const { return truncated_; }  // examples
  double filled() const;                            // share of the rows' places that hold tokens
  const ChatRowRules& rules() const { return rules_; }

  // Row number `position` of a run, counted over epochs and all ranks. All three are `length` long: ids (padding 0),
  // the token that should follow each (kIgnored where nothing is learned), and the number of the example in the row.
  struct Row {
    std::span<int32_t> ids, labels, segments;
  };
  void fill(int64_t position, const Row& row) const { fill_row(shuffled(position), row); }
  void fill_row(int64_t row, const Row& out) const;  // in the order of the corpus's lengths, for validation
  // Labels that are not ignored in a row.
  int64_t targets(int64_t row) const;
  std::vector<ChatSpan> spans(int64_t row) const;
  int64_t row_at(int64_t position) const { return shuffled(position); }

 private:
  // The last `kept` ids of an example.
  struct Part {
    int64_t example, kept;
  };
  using Group = std::vector<Part>;  // that share a row whatever
  int64_t shuffled(int64_t position) const;
  std::vector<Group> groups();
  void pack(std::vector<Group> groups);
  int64_t places(const Part& part) const { return part.kept + rules_.ended; }
  std::span<const Answer> learned(int64_t example) const;
  void label(const Part& part, std::span<int32_t> labels) const;

  const ChatCorpus& corpus_;
  ChatRowRules rules_;
  uint64_t seed_;
  std::vector<Group> rows_;
  int64_t dropped_ = 0, truncated_ = 0;
};

}  // namespace hinoki
