// Conversations as text and token ids, in one place for preparing data, generation and chat.
//
// An answer is encoded by itself, and so is everything between two answers. So the ids that a model sees before it
// answers are the ids it was trained to answer after, and what is learned is known by position: no id is looked at. The
// token after an answer is to be the end of the text; in the conversation that goes on, the next turn follows at once,
// as in rinna's prompts, which hold no end-of-text.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "data/tokenizer.h"

namespace hinoki {

enum class Speaker { system, user, assistant };

struct Turn {
  Speaker speaker;
  std::string text;
  bool operator==(const Turn&) const = default;
};
using Conversation = std::vector<Turn>;

// Why nothing can be learned from a conversation, or answered in it; empty if all is well. Turns: a system's, which may
// be missing, then user and assistant by turns, the last one `last`'s.
std::string fault_of(const Conversation& conversation, Speaker last);

// The ids [begin, end) of a conversation that the assistant says.
struct Answer {
  int32_t begin, end;
  bool operator==(const Answer&) const = default;
};
struct EncodedConversation {
  std::vector<int32_t> ids;
  std::vector<Answer> answers;  // in order; none is empty
};

class ChatTemplate {
 public:
  // "rinna": turns "ユーザー: ..." and "システム: ..." (the assistant's), lines of their own; newlines become what the
  // tokenizer has for them, <NL> or \n. What a system says stands before them without a name.
  // "chatml": <|im_start|>ROLE, a newline, the text, <|im_end|>, a newline. The marks are text like any other where the
  // vocabulary has no symbols for them.
  static ChatTemplate named(const std::string& name);  // Exit::usage for others
  static const std::vector<std::string>& names();
  // The one that a model was trained with, by what its folder says (read_chat_template).
  static std::optional<ChatTemplate> of_jinja(const std::string& jinja);

  const std::string& name() const { return name_; }
  // One that ends with an answer.
  EncodedConversation encode(const Conversation& conversation, const Tokenizer& tokenizer) const;
  // What the next answer is generated after, of a conversation that ends with the user's turn.
  std::vector<int32_t> prompt(const Conversation& conversation, const Tokenizer& tokenizer) const;
  // Texts in an answer that begin somebody's next turn: generation stops before them.
  std::vector<std::string> stops() const;
  // For transformers' `apply_chat_template`, in the language of Jinja.
  std::string jinja() const;

 private:
  struct Part {
    std::string text;
    bool answer;
  };
  explicit ChatTemplate(std::string name) : name_(std::move(name)) {}
  bool chatml() const { return name_ == "chatml"; }
  std::string opening(Speaker speaker, bool first) const;
  std::string closing() const;
  // Answers, and what stands between them; the last part is not an answer and may be empty.
  std::vector<Part> parts(const Conversation& conversation) const;

  std::string name_;
};

// What a Hugging Face folder says of how conversations become text, in chat_template.jinja or else in
// tokenizer_config.json, as transformers reads it; empty if nothing.
std::string read_chat_template(const std::filesystem::path& folder);

}  // namespace hinoki
