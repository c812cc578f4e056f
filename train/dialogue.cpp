#include "train/dialogue.h"

#include <algorithm>

#include "data/stop_text.h"

namespace hinoki {
namespace {

constexpr const char *kUser = "ユーザー: ", *kAnswer = "システム: ";
constexpr int64_t kLeastAnswer = 16;  // tokens that a prompt must leave, or as many as are wanted

std::string with_breaks(const std::string& text, const std::string& separator) {
  std::string out;
  for (const char c : text)
    if (c == '\n')
      out += separator;
    else
      out += c;
  return out;
}

}  // namespace

std::string render(TurnTemplate form, const std::string& system, const std::vector<Exchange>& turns) {
  if (form == TurnTemplate::none) {
    std::string all = system;
    for (const Exchange& turn : turns) all += turn.user + turn.answer;
    return all;
  }
  const std::string separator = form == TurnTemplate::rinna ? std::string(kNewlineSymbol) : "\n";
  std::string all;
  if (!system.empty()) all += with_breaks(system, separator) + separator;
  for (size_t i = 0; i < turns.size(); ++i) {
    all += kUser + with_breaks(turns[i].user, separator) + separator + kAnswer;
    if (i + 1 < turns.size()) all += with_breaks(turns[i].answer, separator) + separator;
  }
  return all;
}

Dialogue::Dialogue(const CausalLm& model, const Tokenizer& tokenizer, TurnTemplate form,
                   const GenerationOptions& options, std::vector<std::string> stops)
    : model_(model),
      tokenizer_(tokenizer),
      form_(form),
      options_(options),
      stops_(std::move(stops)),
      lines_(model, options.sampling, 1, model.max_positions(), options.usable_vocab) {
  if (form != TurnTemplate::none) stops_.push_back("\nユーザー:");  // a model that would ask itself
}

bool Dialogue::undo() {
  if (turns_.empty()) return false;
  turns_.pop_back();
  return true;
}

// The prompt of the turns that fit.
std::vector<int32_t> Dialogue::fit(std::vector<Exchange>& turns, size_t& dropped) const {
  const int64_t room = model_.max_positions() - std::min(kLeastAnswer, std::max<int64_t>(1, options_.max_tokens));
  while (true) {
    std::vector<int32_t> prompt = tokenizer_.encode(render(form_, system_, turns));
    if (prompt.empty() && tokenizer_.eos() >= 0) prompt = {tokenizer_.eos()};
    require<Exit::usage>(!prompt.empty(), "chat: this says nothing that the tokenizer knows");
    if (int64_t(prompt.size()) <= room) return prompt;
    require<Exit::usage>(turns.size() > 1, "chat: this turn has ", prompt.size(), " tokens with what stands before it; ",
                         "the model has room for ", room, ": say it in fewer words");
    turns.erase(turns.begin());
    ++dropped;
  }
}

size_t Dialogue::read(std::vector<int32_t> prompt) {
  // The last token is always read again: what follows it is drawn.
  const size_t most = std::min(read_.size(), prompt.size() - 1);
  const auto shared = size_t(std::mismatch(prompt.begin(), prompt.begin() + int64_t(most), read_.begin()).first -
                             prompt.begin());
  lines_.cut(0, int64_t(shared));
  read_ = std::move(prompt);
  return read_.size() - shared;
}

Dialogue::Answer Dialogue::say(const std::string& text, const std::function<void(const std::string&)>& show,
                                       const std::atomic<bool>& interrupted) {
  Answer answer;
  std::vector<Exchange> turns = turns_;
  turns.push_back({text, {}});
  std::vector<int32_t> prompt = fit(turns, answer.dropped);
  turns_ = std::move(turns);
  answer.fed = read(std::move(prompt));

  const int64_t sample = asked_++;
  StreamDecoder decode(tokenizer_);
  StopText stop(stops_);
  std::string& said = turns_.back().answer;
  const auto give = [&](const std::string& piece) {
    said += piece;
    if (!piece.empty()) show(piece);
  };
  std::span<const int32_t> next = std::span(read_).last(answer.fed);
  for (int64_t made = 0; made < options_.max_tokens && !interrupted; ++made) {
    const TokenLines::Growth growth{0, next, sample};
    const int32_t token = lines_.grow({&growth, 1})[0].token;
    if (token == options_.end) break;
    give(stop.add(decode.feed(token)));
    if (stop.stopped() || int64_t(read_.size()) >= model_.max_positions()) break;
    read_.push_back(token);
    next = std::span(read_).last(1);
  }
  read_.resize(size_t(lines_.length(0)));  // what was drawn last has not been read
  if (!stop.stopped()) give(stop.add(decode.finish()));
  give(stop.finish());
  return answer;
}

}  // namespace hinoki
