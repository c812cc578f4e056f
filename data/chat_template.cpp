#include "data/chat_template.h"

#include <algorithm>

#include "core/base/check.h"
#include "core/base/file.h"
#include "core/base/json.h"

namespace hinoki {
namespace {

const char* role_of(Speaker speaker) {
  return speaker == Speaker::system ? "system" : speaker == Speaker::user ? "user" : "assistant";
}

bool is_blank_text(const std::string& text) {
  std::string_view rest = text;
  while (!rest.empty()) {
    const size_t n = rest.starts_with("\u3000") ? 3 : std::string_view(" \t\r\n").find(rest[0]) != rest.npos ? 1 : 0;
    if (n == 0) return false;
    rest.remove_prefix(n);
  }
  return true;
}

}  // namespace

std::string fault_of(const Conversation& c, Speaker last) {
  size_t i = !c.empty() && c[0].speaker == Speaker::system ? 1 : 0;
  if (i == c.size()) return c.empty() ? "it has no turns" : "it has only a system's turn";
  for (const Turn& t : c)
    if (is_blank_text(t.text)) return say("the turn of the ", role_of(t.speaker), " is empty");
  for (Speaker expected = Speaker::user; i < c.size(); ++i) {
    if (c[i].speaker != expected)
      return say("turn ", i + 1, " is the ", role_of(c[i].speaker), "'s, where the ", role_of(expected),
                 "'s should be");
    expected = expected == Speaker::user ? Speaker::assistant : Speaker::user;
  }
  if (c.back().speaker != last) return say("it ends with the turn of the ", role_of(c.back().speaker));
  return "";
}

const std::vector<std::string>& ChatTemplate::names() {
  static const std::vector<std::string> all{"rinna", "chatml"};
  return all;
}

ChatTemplate ChatTemplate::named(const std::string& name) {
  require<Exit::usage>(std::find(names().begin(), names().end(), name) != names().end(), "chat template \"", name,
                       "\" is not known; rinna and chatml are");
  return ChatTemplate(name);
}

std::optional<ChatTemplate> ChatTemplate::of_jinja(const std::string& jinja) {
  for (const std::string& name : names())
    if (named(name).jinja() == jinja) return named(name);
  return std::nullopt;
}

std::string ChatTemplate::opening(Speaker speaker, bool first) const {
  if (chatml()) return say("<|im_start|>", role_of(speaker), "\n");
  const std::string line = first ? "" : "\n";
  return speaker == Speaker::system ? line : line + (speaker == Speaker::user ? "ユーザー: " : "システム: ");
}

std::string ChatTemplate::closing() const { return chatml() ? "<|im_end|>\n" : ""; }

std::vector<ChatTemplate::Part> ChatTemplate::parts(const Conversation& conversation) const {
  std::vector<Part> all;
  std::string between;
  for (size_t i = 0; i < conversation.size(); ++i) {
    const Turn& turn = conversation[i];
    between += opening(turn.speaker, i == 0);
    if (turn.speaker == Speaker::assistant) {
      all.push_back({std::move(between), false});
      all.push_back({turn.text, true});
      between = closing();
    } else {
      between += turn.text + closing();
    }
  }
  all.push_back({std::move(between), false});
  return all;
}

EncodedConversation ChatTemplate::encode(const Conversation& conversation, const Tokenizer& tokenizer) const {
  std::vector<Part> all = parts(conversation);
  all.pop_back();  // after the last answer
  EncodedConversation out;
  for (const Part& part : all) {
    const std::vector<int32_t> ids = tokenizer.encode(part.text);
    const auto begin = int32_t(out.ids.size());
    out.ids.insert(out.ids.end(), ids.begin(), ids.end());
    if (part.answer && !ids.empty()) out.answers.push_back({begin, int32_t(out.ids.size())});
  }
  return out;
}

std::vector<int32_t> ChatTemplate::prompt(const Conversation& conversation, const Tokenizer& tokenizer) const {
  std::vector<Part> all = parts(conversation);
  all.back().text += opening(Speaker::assistant, conversation.empty());
  std::vector<int32_t> out;
  for (const Part& part : all) {
    const std::vector<int32_t> ids = tokenizer.encode(part.text);
    out.insert(out.end(), ids.begin(), ids.end());
  }
  return out;
}

std::vector<std::string> ChatTemplate::stops() const {
  if (chatml()) return {"<|im_end|>", "<|im_start|>"};
  return {"\nユーザー:", "\nシステム:"};
}

std::string ChatTemplate::jinja() const {
  if (chatml())
    return "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{% endfor "
           "%}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
  return "{% for m in messages %}{% if not loop.first %}{{ '\\n' }}{% endif %}{% if m['role'] == 'user' %}{{ "
         "'ユーザー: "
         "' }}{% elif m['role'] == 'assistant' %}{{ 'システム: ' }}{% endif %}{{ m['content'] }}{% endfor %}{% if "
         "add_generation_prompt %}{{ '\\nシステム: ' }}{% endif %}";
}

std::string read_chat_template(const std::filesystem::path& folder) {
  constexpr int64_t most = 16 << 20;  // bytes; tokenizer_config.json may list thousands of added tokens
  if (const std::string own = folder / "chat_template.jinja"; is_file(own)) return read_file(own, most);
  const std::string file = folder / "tokenizer_config.json";
  if (!is_file(file)) return "";
  const Json config = parse_json(read_file(file, most), file);
  const auto found = config.find("chat_template");
  return found != config.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace hinoki
