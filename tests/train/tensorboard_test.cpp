#include "train/tensorboard.h"

#include <gtest/gtest.h>

#include <cstring>

#include "core/base/crc32c.h"
#include "tests/support/temporary_folder.h"

namespace hinoki::tensorboard_test {
namespace {

// The records of a file; stops at a cut last one, and fails the test on a wrong checksum.
std::vector<std::string> records(const std::string& file) {
  const auto crc = [&](size_t at, size_t bytes) {
    const uint32_t c = crc32c(bytes_of(std::string_view(file).substr(at, bytes)));
    return ((c >> 15) | (c << 17)) + 0xa282ead8u;
  };
  const auto read_crc = [&](size_t at) {
    uint32_t value;
    std::memcpy(&value, file.data() + at, 4);
    return value;
  };
  std::vector<std::string> found;
  for (size_t at = 0; at + 12 <= file.size();) {
    uint64_t length;
    std::memcpy(&length, file.data() + at, 8);
    EXPECT_EQ(read_crc(at + 8), crc(at, 8));
    if (at + 16 + length > file.size()) break;
    EXPECT_EQ(read_crc(at + 12 + length), crc(at + 12, length));
    found.push_back(file.substr(at + 12, length));
    at += 16 + length;
  }
  return found;
}

// An event without its first field, the time.
std::string body(const std::string& event) {
  EXPECT_EQ(event[0], 1 << 3 | 1);
  return event.substr(9);
}

TEST(Tensorboard, WritesEventsByteByByte) {
  const TemporaryFolder folder;
  EventFile file(folder.path(), 299);
  file.add_scalars(300, {{"loss", 1.5}, {"lr", 0.25}});
  file.add_text(301, "sample", "日本");
  EXPECT_NE(file.path().find("/events.out.tfevents."), std::string::npos);
  const auto events = records(read_file(file.path(), 1 << 20));
  ASSERT_EQ(events.size(), 4u);
  using namespace std::string_literals;
  EXPECT_EQ(body(events[0]),
            "\x10\x00\x1a\x0d"s
            "brain.Event:2");
  EXPECT_EQ(body(events[1]), "\x10\xac\x02\x3a\x02\x08\x01"s);  // step 300 = ac 02; SessionLog START
  EXPECT_EQ(body(events[2]),
            "\x10\xac\x02\x2a\x18"
            "\x0a\x0b\x0a\x04loss\x15\x00\x00\xc0\x3f"
            "\x0a\x09\x0a\x02lr\x15\x00\x00\x80\x3e"s);
  EXPECT_EQ(body(events[3]),
            "\x10\xad\x02\x2a\x28"
            "\x0a\x26\x0a\x06sample"
            "\x4a\x0a\x0a\x06\x0a\x04text\x20\x02"  // metadata: plugin "text", class tensor
            "\x42\x10\x08\x07\x12\x04\x12\x02\x08\x01\x42\x06日本"s);
}

TEST(Tensorboard, ResumeRemovesLaterStepsFromOlderFiles) {
  const TemporaryFolder folder;
  std::string first;
  {
    EventFile file(folder.path(), 0);
    first = file.path();
    for (int64_t step = 100; step <= 500; step += 100) file.add_scalars(step, {{"loss", 1.0}});
    file.add_text(300, "sample", "x");
  }
  FileWriter::append(first).write("cut");
  const EventFile resumed(folder.path(), 300);
  std::vector<std::string> bodies;
  for (const std::string& event : records(read_file(first, 1 << 20))) bodies.push_back(body(event).substr(0, 3));
  using namespace std::string_literals;
  EXPECT_EQ(bodies, (std::vector<std::string>{"\x10\x00\x1a"s, "\x10\x01\x3a"s, "\x10\x64\x2a"s, "\x10\xc8\x01"s,
                                              "\x10\xac\x02"s, "\x10\xac\x02"s}));
  EXPECT_EQ(list_directory(folder.path()).size(), 2u);
}

TEST(Tensorboard, FilesOfOneSecondHaveTheirOwnNamesInOrder) {
  const TemporaryFolder folder;
  std::vector<std::string> names;
  for (int i = 0; i < 3; ++i) names.push_back(EventFile(folder.path(), i).path());
  EXPECT_EQ(list_directory(folder.path()).size(), 3u);
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
}

TEST(Tensorboard, ACutLastRecordHarmsNoOther) {
  const TemporaryFolder folder;
  EventFile file(folder.path(), 0);
  for (int64_t step = 1; step <= 3; ++step) file.add_scalars(step, {{"loss", 1.0}});
  const std::string whole = read_file(file.path(), 1 << 20);
  const size_t last = 16 + records(whole).back().size();
  for (size_t cut = 1; cut <= last; ++cut) EXPECT_EQ(records(whole.substr(0, whole.size() - cut)).size(), 4u);
}

}  // namespace
}  // namespace hinoki::tensorboard_test
