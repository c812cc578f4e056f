// Text to ids on many threads, in memory that does not grow with them. To encode a text the sentencepiece library takes
// a hundred times its size, and malloc keeps that for the thread that has asked for it: on two threads that is no
// matter. Where there are more, a long text gets a thread to itself, which leaves its memory to the next one, and waits
// until it and those being encoded are no more than kTogether bytes. The short ones of all threads are no more either.
#pragma once
#include <malloc.h>

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <future>
#include <mutex>
#include <string_view>
#include <vector>

#include "data/tokenizer.h"

namespace hinoki {

class TextEncoder {
 public:
  // `threads`: how many may call encode() at once.
  TextEncoder(const Tokenizer& tokenizer, int threads)
      : tokenizer_(tokenizer), longest_(threads > 2 ? kTogether / size_t(threads) : SIZE_MAX) {}

  std::vector<int32_t> encode(std::string_view text) {
    if (text.size() <= longest_) return tokenizer_.encode(text);
    const Share share(*this, std::min(text.size(), kTogether));
    // Copied: what lives on of that thread's memory would keep all of it from the next one. Memory that other threads
    // still use may lie above what was freed: malloc then gives it back only when told to.
    std::vector<int32_t> ids = std::async(std::launch::async, [&] { return tokenizer_.encode(text); }).get();
    ids = std::vector<int32_t>(ids.begin(), ids.end());
    malloc_trim(0);
    return ids;
  }

 private:
  static constexpr size_t kTogether = 1 << 20;

  // Part of kTogether for one long text.
  class Share {
   public:
    Share(TextEncoder& of, size_t bytes) : of_(of), bytes_(bytes) {
      std::unique_lock lock(of_.mutex_);
      of_.freed_.wait(lock, [&] { return of_.taken_ + bytes_ <= kTogether; });
      of_.taken_ += bytes_;
    }
    ~Share() {
      const std::lock_guard lock(of_.mutex_);
      of_.taken_ -= bytes_;
      of_.freed_.notify_all();
    }
    Share(const Share&) = delete;

   private:
    TextEncoder& of_;
    size_t bytes_;
  };

  const Tokenizer& tokenizer_;
  size_t longest_;  // that a caller encodes itself
  std::mutex mutex_;
  std::condition_variable freed_;
  size_t taken_ = 0;
};

}  // namespace hinoki
