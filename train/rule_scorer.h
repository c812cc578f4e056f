// Rewards by rules that a config can state: simple, free of cost, and the same on every machine.
#pragma once
#include <array>
#include <functional>

#include "train/fields.h"
#include "train/scorer.h"

namespace hinoki {

enum class RewardKind { length, hiragana, japanese, ends_with, regex, ended };
constexpr auto enum_names(RewardKind) {
  return std::array{"length", "hiragana", "japanese", "ends_with", "regex", "ended"};
}

// One rule. An answer without any character scores 0 by each; broken bytes count as characters of no script.
//
//   length     1 from `least` to `most` characters (code points); n / least below, 2 - n / most above, or 0
//   hiragana   the share of hiragana among the characters but for spaces and punctuation; the lengthening mark and the
//              marks of voicing are what the character before them is
//   japanese   the same for hiragana, katakana and kanji; digits, Latin letters and symbols are not Japanese
//   ends_with  1 if the answer ends with one of `texts`, both without the spaces and ends of sentences (。！？ and the
//              like) at their ends
//   regex      1 if `pattern`, a regular expression of ICU, is found anywhere in the answer
//   ended      1 if the answer ended by itself
struct RewardRule {
  RewardKind kind = RewardKind::length;
  double weight = 1;                    // below 0, the rule is a penalty
  int64_t least = 1, most = 200;        // of length, in characters
  std::vector<std::string> texts = {};  // of ends_with
  std::string pattern = {};             // of regex

  template <class Visitor>
  void fields(Visitor& v) {
    v("kind", kind, required);
    v("weight", weight);
    v("least", least, Range{1});
    v("most", most, Range{1});
    v("texts", texts);
    v("pattern", pattern);
  }
  // Fails with Exit::usage; of a pattern that does not compile it names the position.
  void check() const;
};

// The sum of the rules, each times its weight, in their order.
class RuleScorer : public Scorer {
 public:
  // Checks each rule as check() does; without any, nothing could be learned: Exit::usage.
  explicit RuleScorer(const std::vector<RewardRule>& rules);
  // Exit::data names the answer on which a pattern takes forever.
  std::vector<double> score(std::span<const Answered> answers) override;

 private:
  struct Weighted {
    double weight;
    std::function<double(const Answered&)> rule;  // of an answer that is not empty
  };
  std::vector<Weighted> rules_;
};

}  // namespace hinoki
