// Times whole training steps on random tokens: the side-by-side figure of scripts/bench.
#pragma once
#include <string>

#include "train/gpt_config.h"

namespace hinoki {

struct StepBenchmark {
  std::string size = "tiny";  // nano, tiny, small: the sizes of scripts/bench/peer_torch.py
  int64_t batch = 0;          // 0: that of the size
  int64_t sequence = 0;
  int64_t steps = 10, warmup = 2;
  Recompute recompute = Recompute::none;
};

struct StepTimes {
  double median_ms = 0, forward_ms = 0, backward_ms = 0, update_ms = 0;
  double tokens_per_second = 0, flops_per_step = 0;
  int64_t parameters = 0;
  int64_t activation_bytes = 0;  // the most that tensors and scratch held beside weights, gradients and moments
  int64_t clean = 0;             // steps whose threads waited less than 5 % of the time for a core
  double loss = 0;               // of the last step, nats per token
};

StepTimes bench_step(const StepBenchmark& what);

}  // namespace hinoki
