// Times decoding with a cache of keys and values: the side-by-side figure of scripts/bench/decode.sh.
#pragma once
#include <string>

#include "core/tensor.h"

namespace hinoki {

struct DecodeBenchmark {
  std::string size = "tiny";  // nano, tiny, small: the sizes of scripts/bench/peer_decode.py
  int64_t batch = 1;
  int64_t prompt = 32, tokens = 64;  // of each row
  int64_t rounds = 3;
  DType weights = DType::f32;  // bf16 and f16: stored so, computed in f32
};

struct DecodeTimes {
  double step_ms = 0;      // one more token for every row: the median over steps, of the best round
  double prefill_ms = 0;   // the prompts, in the best round
  double bytes = 0;        // of weights and, on the average, of keys and values that a step reads
  int64_t parameters = 0;
};

DecodeTimes bench_decode(const DecodeBenchmark& what);

}  // namespace hinoki
