// Times whole training steps on random tokens or sound: the side-by-side figure of scripts/bench.
#pragma once
#include <string>

#include "models/layers.h"

namespace hinoki {

struct StepBenchmark {
  std::string task = "gpt";   // or hubert
  // nano, tiny, small, neox-small, 1b, 3b; of hubert nano, tiny, base: the sizes of scripts/bench/peer_torch.py
  std::string size = "tiny";
  int64_t batch = 0;          // rows; 0: that of the size
  int64_t sequence = 0;       // tokens, or samples of sound
  int64_t steps = 10, warmup = 2;
  Recompute recompute = Recompute::none;
  Device device = Device::cpu;
  DType dtype = DType::f32;  // of weights and activations; bf16 on CUDA only
};

struct StepTimes {
  double median_ms = 0, forward_ms = 0, backward_ms = 0, update_ms = 0;
  std::string unit;  // "tokens", "seconds" of sound
  double units_per_second = 0, flops_per_step = 0;
  // On the CPU multiply-adds in registers, measured again around each phase of each step; on CUDA the fastest product.
  double peak_gflops = 0, share_of_peak = 0;
  int64_t parameters = 0;
  // Beside weights, gradients and moments: the most that tensors and scratch held at once, and on the CPU the most that was
  // resident, as the peer counts it.
  int64_t live_bytes = 0, activation_bytes = 0;
  int64_t peak_bytes = 0;        // the most that tensors held in all
  int64_t clean = 0;             // steps whose threads waited less than 5 % of the time for a core
  double loss = 0;               // of the last step that was asked for, nats per target
};

StepTimes bench_step(const StepBenchmark& what);

}  // namespace hinoki
