// Text that comes in pieces and ends before the first of some strings. What may be the beginning of one is held back.
#pragma once
#include <algorithm>
#include <string>
#include <vector>

namespace hinoki {

class StopText {
 public:
  explicit StopText(std::vector<std::string> stops) : stops_(std::move(stops)) {}  // empty ones do not count

  // What is certain by now, to be shown; nothing once it has stopped.
  std::string add(const std::string& text) {
    if (stopped_) return {};
    waiting_ += text;
    size_t first = std::string::npos, hold = 0;
    for (const std::string& s : stops_)
      if (!s.empty()) first = std::min(first, waiting_.find(s));
    if (first != std::string::npos) {
      stopped_ = true;
      waiting_.resize(first);
      return take(first);
    }
    for (const std::string& s : stops_)
      for (size_t n = std::min(s.size(), waiting_.size()); n > hold; --n)
        if (waiting_.ends_with(s.substr(0, n))) hold = n;
    return take(waiting_.size() - hold);
  }
  // The rest, where no more text comes.
  std::string finish() { return take(waiting_.size()); }
  bool stopped() const { return stopped_; }

 private:
  std::string take(size_t n) {
    std::string text = waiting_.substr(0, n);
    waiting_.erase(0, n);
    return text;
  }

  std::vector<std::string> stops_;
  std::string waiting_;
  bool stopped_ = false;
};

}  // namespace hinoki
