// Text to ids on many threads, in memory that does not grow with them. To encode a text the sentencepiece library takes
// a hundred times its size, and malloc keeps that for the thread that has asked for it: on two threads that is no
// matter. Where there are more, a long text gets a thread to itself, which leaves its memory to the next one, and two of
// these run at a time.
#pragma once
#include <future>
#include <semaphore>
#include <string_view>
#include <vector>

#include "data/tokenizer.h"

namespace hinoki {

class TextEncoder {
 public:
  // `threads`: how many may call encode() at once.
  TextEncoder(const Tokenizer& tokenizer, int threads) : tokenizer_(tokenizer), apart_(threads > kAtOnce) {}

  std::vector<int32_t> encode(std::string_view text) {
    if (!apart_ || text.size() <= kLong) return tokenizer_.encode(text);
    const Place place(places_);
    // Copied: what lives on of that thread's memory would keep all of it from the next one.
    const std::vector<int32_t> ids = std::async(std::launch::async, [&] { return tokenizer_.encode(text); }).get();
    return std::vector<int32_t>(ids.begin(), ids.end());
  }

 private:
  static constexpr int kAtOnce = 2;
  static constexpr size_t kLong = 128 << 10;
  using Places = std::counting_semaphore<kAtOnce>;

  class Place {
   public:
    explicit Place(Places& places) : places_(places) { places_.acquire(); }
    ~Place() { places_.release(); }
    Place(const Place&) = delete;

   private:
    Places& places_;
  };

  const Tokenizer& tokenizer_;
  bool apart_;
  Places places_{kAtOnce};
};

}  // namespace hinoki
