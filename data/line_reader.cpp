#include "data/line_reader.h"

#include <algorithm>

namespace hinoki {

LineReader::LineReader(const std::filesystem::path& path, size_t longest)
    : path_(path), longest_(longest), stream_(open_bytes(path)) {}

std::string LineReader::place() const { return path_.string() + ":" + std::to_string(line_); }

bool LineReader::fill() {
  buffer_.resize(64 << 10);
  buffer_.resize(stream_->read(buffer_));
  at_ = 0;
  return !buffer_.empty();
}

bool LineReader::next(Line& line) {
  line = {};
  if (at_ == buffer_.size() && !fill()) return false;
  ++line_;
  for (;;) {
    const size_t end = std::min(buffer_.find('\n', at_), buffer_.size());
    const size_t room = longest_ - line.text.size(), found = end - at_;
    line.text.append(buffer_, at_, std::min(room, found));
    line.too_long |= found > room;
    at_ = end;
    if (at_ < buffer_.size()) {
      ++at_;
      break;
    }
    if (!fill()) break;
  }
  if (line.text.ends_with('\r')) line.text.pop_back();
  if (line_ == 1 && line.text.starts_with("\xEF\xBB\xBF")) line.text.erase(0, 3);
  return true;
}

}  // namespace hinoki
