// Conversations and preferences to token ids. The bytes written depend on the input and the settings alone.
#pragma once
#include "data/chat_corpus.h"
#include "data/chat_source.h"

namespace hinoki {

struct ChatPreparation {
  std::vector<std::filesystem::path> inputs;
  std::vector<std::filesystem::path> validation_inputs = {};  // the validation split; none: a part of `inputs`
  std::filesystem::path output;
  ChatSource::Kind kind = ChatSource::Kind::conversations;
  std::string chat_template = "rinna";
  double validation_fraction = 0.05;  // of questions, by the hash of the first one in a conversation
  int64_t longest = 0;                // tokens of an example; longer ones are faults; 0: any
  bool skip_faults = false;  // count records that cannot be used, and name the first; else the first one ends it
  bool overwrite = false;    // a finished corpus
};

struct ChatSplitReport {
  int64_t examples = 0, tokens = 0, targets = 0;
};

struct ChatReport {
  int64_t files = 0, records = 0, faults = 0;
  std::string first_fault;
  ChatSplitReport train, validation;
};

// Leaves train.h5, validation.h5 and spiece.model in the output folder. A record that cannot be used, and a tokenizer
// without an end of text, are Exit::data.
ChatReport prepare_chat(const Tokenizer& tokenizer, const ChatPreparation& settings);

}  // namespace hinoki
