// A conversation with a model: turns as text, the prompt that a template makes of them, and the keys and values of what
// the model has read, so that each turn feeds it the new tokens alone.
#pragma once
#include <atomic>
#include <functional>

#include "data/tokenizer.h"
#include "models/generation.h"
#include "models/token_lines.h"

namespace hinoki {

// How turns become text: "ユーザー: ..." and "システム: ..." with "<NL>" between (rinna's instruction models), the same
// with real newlines, or the bare text.
enum class TurnTemplate : uint8_t { rinna, rinna_newline, none };

// A turn: what the user said, and the model.
struct Exchange {
  std::string user, answer;
};

std::string render(TurnTemplate form, const std::string& system, const std::vector<Exchange>& turns);

class Dialogue {
 public:
  Dialogue(const CausalLm& model, const Tokenizer& tokenizer, TurnTemplate form, const GenerationOptions& options,
           std::vector<std::string> stops);

  struct Answer {
    size_t dropped = 0;  // turns that no longer fit and were forgotten, oldest first
    size_t fed = 0;      // tokens of the prompt that the model had not read before
  };
  // Answers `text`; `show` gets the pieces, each of whole characters. `interrupted` ends the answer when it is set. A
  // turn that does not fit alone is Exit::usage and changes nothing.
  Answer say(const std::string& text, const std::function<void(const std::string&)>& show,
             const std::atomic<bool>& interrupted);

  void set_system(std::string text) { system_ = std::move(text); }
  void reset() { turns_.clear(); }
  bool undo();  // forgets the last turn; false if there is none
  const std::vector<Exchange>& turns() const { return turns_; }

 private:
  std::vector<int32_t> fit(std::vector<Exchange>& turns, size_t& dropped) const;
  size_t read(std::vector<int32_t> prompt);  // cuts the line to what it shares with the prompt

  const CausalLm& model_;
  const Tokenizer& tokenizer_;
  TurnTemplate form_;
  GenerationOptions options_;
  std::vector<std::string> stops_;
  std::string system_;
  std::vector<Exchange> turns_;
  TokenLines lines_;
  std::vector<int32_t> read_;  // the tokens in the line
  int64_t asked_ = 0;
};

}  // namespace hinoki
