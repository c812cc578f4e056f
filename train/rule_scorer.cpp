#include "train/rule_scorer.h"

#include <unicode/regex.h>
#include <unicode/uchar.h>
#include <unicode/uscript.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <initializer_list>
#include <memory>

#include "core/base/in_quotes.h"

namespace hinoki {
namespace {

// Of ICU's matcher, which counts its own steps and so stops at the same place on every machine: far more than an honest
// pattern needs for an answer (about a second, by ICU's word), and less than anybody would wait.
constexpr int32_t kMostSteps = 1000;
constexpr UChar32 kLengthening = 0x30FC;  // ー, as much of hiragana as of katakana

// Of what is not UTF-8, ICU gives -1 for each broken sequence.
std::vector<UChar32> characters(std::string_view text) {
  std::vector<UChar32> all;
  const auto size = int32_t(text.size());
  for (int32_t at = 0; at < size;) {
    UChar32 c = 0;
    U8_NEXT(text.data(), at, size, c);
    all.push_back(c);
  }
  return all;
}

double length_score(const RewardRule& rule, const std::string& answer) {
  const double n = double(characters(answer).size()), least = double(rule.least), most = double(rule.most);
  if (n < least) return n / least;
  return n <= most ? 1 : std::max(0.0, 2 - n / most);
}

UScriptCode script_of(UChar32 c) {
  UErrorCode status = U_ZERO_ERROR;
  return c < 0 ? USCRIPT_UNKNOWN : uscript_getScript(c, &status);
}

double share_of(std::initializer_list<UScriptCode> scripts, const std::string& answer) {
  int64_t counted = 0, ours = 0;
  UScriptCode script = USCRIPT_UNKNOWN;
  for (const UChar32 c : characters(answer)) {
    if (c >= 0 && (u_isUWhiteSpace(c) || u_ispunct(c))) continue;
    if (const UScriptCode own = script_of(c); c != kLengthening && own != USCRIPT_INHERITED) script = own;
    ++counted;
    ours += std::find(scripts.begin(), scripts.end(), script) != scripts.end();
  }
  return counted ? double(ours) / double(counted) : 0;
}

std::vector<UChar32> without_end(std::string_view text) {
  std::vector<UChar32> all = characters(text);
  while (!all.empty() && all.back() >= 0 &&
         (u_isUWhiteSpace(all.back()) || u_hasBinaryProperty(all.back(), UCHAR_S_TERM)))
    all.pop_back();
  return all;
}

std::function<double(const Answered&)> ends_with(const std::vector<std::string>& texts) {
  std::vector<std::vector<UChar32>> ends;
  for (const std::string& text : texts) ends.push_back(without_end(text));
  return [ends](const Answered& a) -> double {
    const std::vector<UChar32> answer = without_end(a.answer);
    return std::any_of(ends.begin(), ends.end(), [&](const std::vector<UChar32>& end) {
      return end.size() <= answer.size() && std::equal(end.rbegin(), end.rend(), answer.rbegin());
    });
  };
}

std::unique_ptr<icu::RegexPattern> compiled(const std::string& text) {
  UParseError at{};
  UErrorCode status = U_ZERO_ERROR;
  const auto pattern = icu::UnicodeString::fromUTF8(text);
  std::unique_ptr<icu::RegexPattern> made(icu::RegexPattern::compile(pattern, at, status));
  require<Exit::usage>(U_SUCCESS(status), "the pattern ", in_quotes(text),
                       " is no regular expression: ", u_errorName(status), " at character ",
                       pattern.countChar32(0, at.offset), " of line ", at.line > 0 ? at.line : 1);
  return made;
}

std::function<double(const Answered&)> matches(const std::string& text) {
  return [pattern = std::shared_ptr<icu::RegexPattern>(compiled(text)), text](const Answered& a) -> double {
    UErrorCode status = U_ZERO_ERROR;
    const auto answer = icu::UnicodeString::fromUTF8(a.answer);
    const std::unique_ptr<icu::RegexMatcher> matcher(pattern->matcher(answer, status));
    require(U_SUCCESS(status), "ICU cannot match: ", u_errorName(status));
    matcher->setTimeLimit(kMostSteps, status);
    const bool found = matcher->find(status);
    require<Exit::data>(U_SUCCESS(status), "the pattern ", in_quotes(text), " takes too long on the answer ",
                        in_quotes(a.answer), " (", u_errorName(status),
                        "); write it without repetitions inside of repetitions");
    return found;
  };
}

std::function<double(const Answered&)> function_of(const RewardRule& rule) {
  switch (rule.kind) {
    case RewardKind::length:
      return [rule](const Answered& a) { return length_score(rule, a.answer); };
    case RewardKind::hiragana:
      return [](const Answered& a) { return share_of({USCRIPT_HIRAGANA}, a.answer); };
    case RewardKind::japanese:
      return [](const Answered& a) { return share_of({USCRIPT_HIRAGANA, USCRIPT_KATAKANA, USCRIPT_HAN}, a.answer); };
    case RewardKind::ends_with:
      return ends_with(rule.texts);
    case RewardKind::regex:
      return matches(rule.pattern);
    case RewardKind::ended:
      break;
  }
  return [](const Answered& a) -> double { return a.ended; };
}

}  // namespace

void RewardRule::check() const {
  require<Exit::usage>(least <= most, "least = ", least, " is above most = ", most);
  require<Exit::usage>((kind == RewardKind::ends_with) == !texts.empty(),
                       "`texts` is what answers should end with: kind \"ends_with\" needs it, and no other takes it");
  require<Exit::usage>((kind == RewardKind::regex) == !pattern.empty(),
                       "`pattern` is what to look for: kind \"regex\" needs it, and no other takes it");
  for (const std::string& text : texts)
    require<Exit::usage>(!without_end(text).empty(), "texts: ", in_quotes(text),
                         " is nothing without the spaces and ends of sentences at its end, which do not count");
  if (kind == RewardKind::regex) compiled(pattern);
}

RuleScorer::RuleScorer(const std::vector<RewardRule>& rules) {
  require<Exit::usage>(!rules.empty(), "no rule says what an answer is worth: give one at least");
  for (const RewardRule& rule : rules) {
    rule.check();
    rules_.push_back({rule.weight, function_of(rule)});
  }
}

std::vector<double> RuleScorer::score(std::span<const Answered> answers) {
  std::vector<double> scores;
  for (const Answered& a : answers) {
    double total = 0;
    for (const Weighted& w : rules_) total += a.answer.empty() ? 0 : w.weight * w.rule(a);
    scores.push_back(total);
  }
  return scores;
}

}  // namespace hinoki
