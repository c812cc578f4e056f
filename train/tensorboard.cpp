#include "train/tensorboard.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>

#include "core/base/check.h"
#include "core/base/crc32c.h"

namespace hinoki {
namespace {

// The little of protocol buffers that events need: fields are a number, a wire type, and the value.
class Message {
 public:
  Message& integer(int field, int64_t value) {
    key(field, 0);
    varint(static_cast<uint64_t>(value));
    return *this;
  }
  Message& number(int field, double value) { return fixed(field, 1, value); }
  Message& number(int field, float value) { return fixed(field, 5, value); }
  Message& bytes(int field, const std::string& value) {
    key(field, 2);
    varint(value.size());
    text_ += value;
    return *this;
  }
  Message& message(int field, const Message& value) { return bytes(field, value.text_); }
  const std::string& text() const { return text_; }

 private:
  void key(int field, int wire_type) { varint(static_cast<uint64_t>(field) << 3 | static_cast<uint64_t>(wire_type)); }
  void varint(uint64_t value) {
    for (; value >= 128; value >>= 7) text_ += static_cast<char>(value | 128);
    text_ += static_cast<char>(value);
  }
  template <class T>
  Message& fixed(int field, int wire_type, T value) {
    key(field, wire_type);
    char raw[sizeof value];
    std::memcpy(raw, &value, sizeof value);
    text_.append(raw, sizeof value);
    return *this;
  }

  std::string text_;
};

// Field numbers of tensorflow's event.proto, summary.proto, tensor.proto.
Message event(int64_t step) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return Message().number(1, std::chrono::duration<double>(now).count()).integer(2, step);
}
Message file_version() { return event(0).bytes(3, "brain.Event:2"); }  // readers forget later steps only from 2 on
Message session_start(int64_t step) { return event(step).message(7, Message().integer(1, /*START*/ 1)); }

Message text_value(const std::string& tag, const std::string& text) {
  constexpr int kString = 7, kTensorClass = 2;
  const Message shape = Message().message(2, Message().integer(1, 1));
  const Message tensor = Message().integer(1, kString).message(2, shape).bytes(8, text);
  const Message metadata = Message().message(1, Message().bytes(1, "text")).integer(4, kTensorClass);
  return Message().bytes(1, tag).message(9, metadata).message(8, tensor);
}

constexpr const char* kEventsPrefix = "events.out.tfevents.";

std::string new_file(const std::string& folder) {
  char host[256] = "", stem[400];
  ::gethostname(host, sizeof host - 1);
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  std::snprintf(stem, sizeof stem, "/%s%010lld.%s.%d", kEventsPrefix,
                static_cast<long long>(std::chrono::duration_cast<std::chrono::seconds>(now).count()), host,
                ::getpid());
  // A second file of the same second; readers take files in the order of their names.
  for (int number = 0;; ++number) {
    const std::string path = say(folder, stem, ".", number);
    if (!is_file(path)) return path;
  }
}

std::string masked_crc(const std::string& text) {
  const uint32_t crc = crc32c(bytes_of(text));
  const uint32_t masked = ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
  return std::string(reinterpret_cast<const char*>(&masked), sizeof masked);
}

std::string framed(const std::string& event) {
  const uint64_t length = event.size();
  const std::string head(reinterpret_cast<const char*>(&length), sizeof length);
  return head + masked_crc(head) + event + masked_crc(event);
}

// The step of an event as written above: the time, then the step. Anything else counts as step 0.
int64_t step_of_event(std::string_view event) {
  if (event.size() < 11 || event[0] != (1 << 3 | 1) || event[9] != 2 << 3) return 0;
  uint64_t step = 0;
  for (size_t at = 10, shift = 0; at < event.size() && shift < 64; ++at, shift += 7) {
    const auto byte = static_cast<unsigned char>(event[at]);
    step |= static_cast<uint64_t>(byte & 127) << shift;
    if (byte < 128) break;
  }
  return static_cast<int64_t>(step);
}

// Rewrites a file without the events after `last` and without a record that a crash has cut.
void truncate_events(const std::string& path, int64_t last) {
  const MappedFile file(path);
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  std::string kept;
  for (size_t at = 0; text.size() - at >= 16;) {
    uint64_t length;
    std::memcpy(&length, text.data() + at, sizeof length);
    if (length > text.size() - at - 16) break;
    const std::string_view record = text.substr(at, length + 16), event = record.substr(12, length);
    if (record != framed(std::string(event))) break;  // readers would stop here, too
    if (step_of_event(event) <= last) kept += record;
    at += record.size();
  }
  if (kept.size() != text.size()) write_file_durably(path, kept);
}

FileWriter go_on(const std::string& folder, int64_t last) {
  for (const std::string& name : list_directory(folder))
    if (name.starts_with(kEventsPrefix)) truncate_events(folder + "/" + name, last);
  return FileWriter::create(new_file(folder));
}

}  // namespace

EventFile::EventFile(const std::string& folder, int64_t step) : file_(go_on(folder, step)) {
  write(file_version().text());
  write(session_start(step + 1).text());
}

void EventFile::write(const std::string& event) { file_.write(framed(event)); }

void EventFile::add_scalars(int64_t step, const std::vector<Scalar>& scalars) {
  Message summary;
  for (const Scalar& scalar : scalars)
    summary.message(1, Message().bytes(1, scalar.tag).number(2, static_cast<float>(scalar.value)));
  write(event(step).message(5, summary).text());
}

void EventFile::add_text(int64_t step, const std::string& tag, const std::string& text) {
  write(event(step).message(5, Message().message(1, text_value(tag, text))).text());
}

}  // namespace hinoki
