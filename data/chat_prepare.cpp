#include "data/chat_prepare.h"

#include "core/base/file.h"

namespace hinoki {
namespace {

// The same question is never in both splits.
bool is_validation(const Conversation& c, double fraction) {
  std::string_view question;
  for (const Turn& turn : c)
    if (turn.speaker == Speaker::user && question.empty()) question = turn.text;
  return double(hash128(question).high >> 11) * 0x1p-53 < fraction;
}

Conversation answered(Conversation c, const std::string& answer) {
  c.push_back({Speaker::assistant, answer});
  return c;
}

class ChatPreparing {
 public:
  ChatPreparing(const Tokenizer& tokenizer, const ChatPreparation& s)
      : tokenizer_(tokenizer), settings_(s), template_(ChatTemplate::named(s.chat_template)) {}

  ChatReport run() {
    ChatCorpusWriter train(settings_.output, info("train")), validation(settings_.output, info("validation"));
    const bool apart = !settings_.validation_inputs.empty();
    const double fraction = apart ? 0 : settings_.validation_fraction;
    read(
        settings_.inputs, [&](const Conversation& c) -> auto& {
          return is_validation(c, fraction) ? validation : train;
        });
    if (apart)
      read(
          settings_.validation_inputs, [&](const Conversation&) -> auto& { return validation; });
    require<Exit::data>(train.examples() > 0, "none of ", report_.records, " records can be trained on",
                        report_.faults > 0 ? "; the first: " + report_.first_fault : "");
    // Finished data is replaced only now, and the training split goes first and comes last: whoever finds it finds all
    // three files of one preparation.
    std::filesystem::remove(chat_corpus_path(settings_.output, "train"));
    write_file_durably((settings_.output / "spiece.model").string(), tokenizer_.bytes());
    finish(validation, report_.validation);
    finish(train, report_.train);
    return report_;
  }

 private:
  template <class WriterOf>
  void read(const std::vector<std::filesystem::path>& inputs, const WriterOf& writer_of) {
    ChatSource source(inputs, settings_.kind);
    report_.files += int64_t(source.files());
    while (const auto record = source.next()) {
      ++report_.records;
      std::string fault = record->fault;
      std::vector<EncodedConversation> examples;
      if (fault.empty()) examples = encode(*record, fault);
      if (fault.empty()) {
        for (const EncodedConversation& e : examples) writer_of(record->conversation).append(e);
        continue;
      }
      require<Exit::data>(settings_.skip_faults, record->place, ": ", fault,
                          "; correct the record, or leave such ones out with --on-fault skip");
      if (++report_.faults == 1) report_.first_fault = record->place + ": " + fault;
    }
  }

  static void finish(ChatCorpusWriter& writer, ChatSplitReport& split) {
    split = {.examples = writer.examples(), .tokens = writer.tokens(), .targets = writer.targets()};
    writer.publish();
  }

  ChatCorpusInfo info(const char* split) const {
    return {.kind = settings_.kind == ChatSource::Kind::conversations ? kConversations : kPreferences,
            .split = split,
            .chat_template = template_.name(),
            .tokenizer_hash = tokenizer_.hash(),
            .vocabulary_size = tokenizer_.size(),
            .end = tokenizer_.eos()};
  }

  std::vector<EncodedConversation> encode(const ChatRecord& record, std::string& fault) const {
    std::vector<EncodedConversation> out;
    if (settings_.kind == ChatSource::Kind::conversations) {
      out.push_back(template_.encode(record.conversation, tokenizer_));
    } else {
      out.push_back(template_.encode(answered(record.conversation, record.chosen), tokenizer_));
      out.push_back(template_.encode(answered(record.conversation, record.rejected), tokenizer_));
    }
    for (const EncodedConversation& e : out) {
      if (e.answers.empty()) fault = "the tokenizer makes nothing of its answers";
      if (settings_.longest > 0 && int64_t(e.ids.size()) > settings_.longest)
        fault = say("it is ", e.ids.size(), " tokens long, more than ", settings_.longest);
    }
    return out;
  }

  const Tokenizer& tokenizer_;
  const ChatPreparation& settings_;
  const ChatTemplate template_;
  ChatReport report_;
};

}  // namespace

ChatReport prepare_chat(const Tokenizer& tokenizer, const ChatPreparation& settings) {
  require<Exit::data>(tokenizer.eos() >= 0,
                      "the tokenizer has no end of text (</s>): a model could not learn to end "
                      "its answers; train one with `hinoki tokenizer train`");
  require<Exit::data>(!tokenizer.newline_ids().empty(),
                      "the tokenizer has no piece for a newline, which stands between "
                      "turns; train one with `hinoki tokenizer train`");
  require<Exit::usage>(settings.overwrite || !is_file(chat_corpus_path(settings.output, "train")), settings.output,
                       ": holds finished data already; --overwrite replaces it");
  return ChatPreparing(tokenizer, settings).run();
}

}  // namespace hinoki
