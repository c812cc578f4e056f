// How fast text becomes tokens: `hinoki data text` beside a bare loop over the sentencepiece library, in one run.
#pragma once
#include <string>

namespace hinoki {

struct TextSpeed {
  int64_t lines = 0, bytes = 0;                     // that both encode
  double bare_seconds = 0, prepare_seconds = 0;     // prepare: reading, cleaning, duplicates and writing included
  int64_t bare_tokens = 0, prepare_tokens = 0;      // ours has one more for each document
};

// Prepares `input` into a temporary folder that is removed, and encodes the lines it kept once more in a plain loop.
TextSpeed bench_text(const std::string& tokenizer, const std::string& input, int threads);

}  // namespace hinoki
