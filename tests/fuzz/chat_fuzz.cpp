// Any bytes, as a file of JSONL, become conversations or preferences of well-formed text whose roles are in order, or
// records with a fault that says why and in which line.
#include <stdlib.h>

#include "core/base/check.h"
#include "core/base/file.h"
#include "data/chat_source.h"
#include "data/utf8.h"

namespace {

using namespace hinoki;

void must(bool holds) {
  if (!holds) std::abort();
}

// Readers choose by the end of a name, so it is a file.
std::string write(const std::string& bytes) {
  static const std::string folder = [] {
    std::string name = "/tmp/chat-fuzz-XXXXXX";
    must(mkdtemp(name.data()) != nullptr);
    return name;
  }();
  const std::string path = folder + "/in.jsonl";
  FileWriter file = FileWriter::create(path);
  file.write(bytes);
  file.close();
  return path;
}

bool is_text(const std::string& text) { return !text.empty() && utf8_valid_until(text) == text.size(); }

void check(const ChatRecord& record, ChatSource::Kind kind) {
  must(record.place.find("in.jsonl:") != std::string::npos);
  if (!record.fault.empty()) return;
  const bool talk = kind == ChatSource::Kind::conversations;
  const Conversation& c = record.conversation;
  must(!c.empty() && c.back().speaker == (talk ? Speaker::assistant : Speaker::user));
  for (size_t i = 0; i < c.size(); ++i) {
    must(is_text(c[i].text) && (c[i].speaker != Speaker::system || i == 0));
    must(i == 0 || c[i].speaker != c[i - 1].speaker);
  }
  must(talk || (is_text(record.chosen) && is_text(record.rejected) && record.chosen != record.rejected));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string path = write({reinterpret_cast<const char*>(data), size});
  const std::filesystem::path inputs[] = {path};
  for (const ChatSource::Kind kind : {ChatSource::Kind::conversations, ChatSource::Kind::preferences}) {
    ChatSource source(inputs, kind);
    size_t lines = 1;
    for (const uint8_t* byte = data; byte != data + size; ++byte) lines += *byte == '\n';
    while (const auto record = source.next()) {
      must(lines-- > 0);
      check(*record, kind);
    }
  }
  return 0;
}
