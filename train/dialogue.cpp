#include "train/dialogue.h"

#include <algorithm>

#include "data/stop_text.h"

namespace hinoki {
namespace {

constexpr int64_t kLeastAnswer = 16;  // tokens that a prompt must leave, or as many as are wanted

}  // namespace

Dialogue::Dialogue(const CausalLm& model, const Tokenizer& tokenizer, std::optional<ChatTemplate> form,
                   const GenerationOptions& options, std::vector<std::string> stops, int64_t room)
    : tokenizer_(tokenizer),
      form_(std::move(form)),
      options_(options),
      stops_(std::move(stops)),
      lines_(model, options.sampling, 1, room > 0 ? std::min(room, model.max_positions()) : model.max_positions(),
             options.usable_vocab) {
  if (!form_) return;
  for (const std::string& next : form_->stops()) stops_.push_back(next);  // of a model that would ask itself
}

bool Dialogue::undo() {
  if (turns_.empty()) return false;
  turns_.resize(turns_.size() - 2);
  return true;
}

std::vector<int32_t> Dialogue::prompt(const Conversation& turns) const {
  Conversation all = turns;
  if (!system_.empty()) all.insert(all.begin(), {Speaker::system, system_});
  if (form_) return form_->prompt(all, tokenizer_);
  std::string text;
  for (const Turn& turn : all) text += turn.text;
  const std::vector<int32_t> ids = tokenizer_.encode(text);
  return ids.empty() && tokenizer_.eos() >= 0 ? std::vector{tokenizer_.eos()} : ids;
}

// The prompt of the turns that fit.
std::vector<int32_t> Dialogue::fit(Conversation& turns, size_t& dropped) const {
  const int64_t room = lines_.capacity() - std::min(kLeastAnswer, std::max<int64_t>(1, options_.max_tokens));
  while (true) {
    std::vector<int32_t> prompt = this->prompt(turns);
    require<Exit::usage>(!prompt.empty(), "chat: this says nothing that the tokenizer knows");
    if (int64_t(prompt.size()) <= room) return prompt;
    require<Exit::usage>(turns.size() > 1, "chat: this turn has ", prompt.size(),
                         " tokens with what stands before it; ", "the model has room for ", room,
                         ": say it in fewer words");
    turns.erase(turns.begin(), turns.begin() + 2);
    ++dropped;
  }
}

void Dialogue::check(const std::string& text) const {
  Conversation turns = turns_;
  turns.push_back({Speaker::user, text});
  size_t dropped = 0;
  fit(turns, dropped);
}

size_t Dialogue::read(std::vector<int32_t> prompt) {
  // The last token is always read again: what follows it is drawn.
  const size_t most = std::min(read_.size(), prompt.size() - 1);
  const auto shared =
      size_t(std::mismatch(prompt.begin(), prompt.begin() + int64_t(most), read_.begin()).first - prompt.begin());
  lines_.cut(0, int64_t(shared));
  read_ = std::move(prompt);
  return read_.size() - shared;
}

Dialogue::Answer Dialogue::say(const std::string& text, const std::function<void(const std::string&)>& show,
                               const std::atomic<bool>& interrupted) {
  Answer answer;
  Conversation turns = turns_;
  turns.push_back({Speaker::user, text});
  std::vector<int32_t> prompt = fit(turns, answer.dropped);
  turns_ = std::move(turns);
  turns_.push_back({Speaker::assistant, ""});
  answer.fed = read(std::move(prompt));

  const int64_t sample = asked_++;
  StreamDecoder decode(tokenizer_);
  StopText stop(stops_);
  std::string& said = turns_.back().text;
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
    if (stop.stopped() || int64_t(read_.size()) >= lines_.capacity()) break;
    read_.push_back(token);
    next = std::span(read_).last(1);
  }
  read_.resize(size_t(lines_.length(0)));  // what was drawn last has not been read
  if (!stop.stopped()) give(stop.add(decode.finish()));
  give(stop.finish());
  return answer;
}

}  // namespace hinoki
