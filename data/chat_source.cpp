#include "data/chat_source.h"

#include "core/base/check.h"
#include "core/base/json.h"
#include "data/text_source.h"
#include "data/utf8.h"

namespace hinoki {
namespace {

// A record that cannot be used: the line goes on to the next.
struct Fault {
  std::string what;
};

std::string text_at(const Json& record, const char* key) {
  const auto found = record.find(key);
  if (found == record.end()) throw Fault{say("there is no \"", key, "\"")};
  if (!found->is_string()) throw Fault{say("\"", key, "\" is not a text")};
  return found->get<std::string>();
}

Conversation messages(const Json& list, const char* key) {
  if (!list.is_array()) throw Fault{say("\"", key, "\" is not a list of messages")};
  Conversation out;
  for (const Json& m : list) {
    if (!m.is_object()) throw Fault{say("\"", key, "\" holds what is no message")};
    const std::string role = text_at(m, "role");
    Turn turn{.speaker = Speaker::system, .text = text_at(m, "content")};
    if (role == "user")
      turn.speaker = Speaker::user;
    else if (role == "assistant")
      turn.speaker = Speaker::assistant;
    else if (role != "system")
      throw Fault{say("the role \"", role, "\" is not known; system, user and assistant are")};
    out.push_back(std::move(turn));
  }
  return out;
}

Conversation asked_of(const Json& prompt) {
  if (prompt.is_array()) return messages(prompt, "prompt");
  if (!prompt.is_string()) throw Fault{"\"prompt\" is neither a text nor a list of messages"};
  return {{Speaker::user, prompt.get<std::string>()}};
}

Conversation conversation_of(const Json& record) {
  if (record.contains("messages")) return messages(record["messages"], "messages");
  if (record.contains("completion")) {
    if (!record.contains("prompt")) throw Fault{"there is a \"completion\", but no \"prompt\""};
    Conversation c = asked_of(record["prompt"]);
    c.push_back({Speaker::assistant, text_at(record, "completion")});
    return c;
  }
  if (record.contains("instruction")) {
    std::string question = text_at(record, "instruction");
    const auto input = record.find("input");
    if (input != record.end() && !input->is_null())
      if (const std::string more = text_at(record, "input"); !more.empty()) question += "\n" + more;
    return {{Speaker::user, question}, {Speaker::assistant, text_at(record, "output")}};
  }
  throw Fault{"it has none of the keys \"messages\", \"completion\" and \"instruction\""};
}

std::vector<std::filesystem::path> json_files(std::span<const std::filesystem::path> inputs) {
  std::vector<std::filesystem::path> files;
  for (const TextFile& file : list_text_files(inputs))
    if (file.json_lines) files.push_back(file.path);
  require<Exit::data>(!files.empty(),
                      "there is no conversation in what was given: .jsonl and .ndjson are looked for, "
                      ".gz and .zst behind it included");
  return files;
}

}  // namespace

ChatSource::ChatSource(std::span<const std::filesystem::path> inputs, Kind kind)
    : files_(json_files(inputs)), kind_(kind) {}

std::optional<ChatRecord> ChatSource::next() {
  while (true) {
    if (!lines_) {
      if (next_file_ == files_.size()) return std::nullopt;
      lines_.emplace(files_[next_file_++], kLongestRecord);
    }
    LineReader::Line line;
    if (!lines_->next(line)) {
      lines_.reset();
      continue;
    }
    if (line.too_long) {
      ChatRecord record;
      record.place = lines_->place();
      record.fault = say("it is longer than ", kLongestRecord >> 20, " MiB");
      return record;
    }
    if (line.text.find_first_not_of(" \t\r") != std::string::npos) return read(line.text, lines_->place());
  }
}

ChatRecord ChatSource::read(const std::string& line, const std::string& place) const {
  ChatRecord record;
  record.place = place;
  try {
    if (const size_t good = utf8_valid_until(line); good != line.size())
      throw Fault{say("it is not UTF-8 at byte ", good)};
    Json json;
    try {
      json = parse_json(line, "the record");
    } catch (const Error& e) {
      throw Fault{e.what()};
    }
    if (!json.is_object()) throw Fault{"the record is not an object"};
    if (kind_ == Kind::conversations) {
      record.conversation = conversation_of(json);
      record.fault = fault_of(record.conversation, Speaker::assistant);
      return record;
    }
    if (!json.contains("prompt")) throw Fault{"there is no \"prompt\""};
    record.conversation = asked_of(json["prompt"]);
    record.chosen = text_at(json, "chosen");
    record.rejected = text_at(json, "rejected");
    record.fault = fault_of(record.conversation, Speaker::user);
    for (const std::string* answer : {&record.chosen, &record.rejected})
      if (record.fault.empty())
        record.fault = fault_of({{Speaker::user, "?"}, {Speaker::assistant, *answer}}, Speaker::assistant);
    if (record.fault.empty() && record.chosen == record.rejected) record.fault = "chosen and rejected are the same";
  } catch (const Fault& fault) {
    record.fault = fault.what;
  }
  return record;
}

}  // namespace hinoki
