// A conversation with a model: its turns, and the keys and values of what the model has read of them, so that each turn
// feeds it the new tokens alone.
#pragma once
#include <atomic>
#include <functional>
#include <optional>

#include "data/chat_template.h"
#include "models/generation.h"
#include "models/token_lines.h"

namespace hinoki {

class Dialogue {
 public:
  // Without a template the model continues the bare text of all turns. An answer ends before `stops` and before what
  // begins the template's next turn. `room`: tokens of a conversation at most; 0: as many as the model has positions.
  Dialogue(const CausalLm& model, const Tokenizer& tokenizer, std::optional<ChatTemplate> form,
           const GenerationOptions& options, std::vector<std::string> stops, int64_t room = 0);

  struct Answer {
    size_t dropped = 0;  // questions that no longer fit and were forgotten with their answers, oldest first
    size_t fed = 0;      // tokens of the prompt that the model had not read before
  };
  // Answers `text`; `show` gets the pieces, each of whole characters. `interrupted` ends the answer when it is set. A
  // turn that does not fit alone is Exit::usage and changes nothing.
  Answer say(const std::string& text, const std::function<void(const std::string&)>& show,
             const std::atomic<bool>& interrupted);

  // Throws what say() would.
  void check(const std::string& text) const;

  void set_system(std::string text) { system_ = std::move(text); }
  void reset() { turns_.clear(); }
  bool undo();  // forgets the last question and its answer; false if there is none
  int64_t exchanges() const { return int64_t(turns_.size()) / 2; }  // questions, each with its answer
  const std::string& last_answer() const { return turns_.back().text; }

 private:
  std::vector<int32_t> prompt(const Conversation& turns) const;
  std::vector<int32_t> fit(Conversation& turns, size_t& dropped) const;
  size_t read(std::vector<int32_t> prompt);  // cuts the line to what it shares with the prompt

  const Tokenizer& tokenizer_;
  std::optional<ChatTemplate> form_;
  GenerationOptions options_;
  std::vector<std::string> stops_;
  std::string system_;
  Conversation turns_;  // of user and assistant
  TokenLines lines_;
  std::vector<int32_t> read_;  // the tokens in the line
  int64_t asked_ = 0;
};

}  // namespace hinoki
