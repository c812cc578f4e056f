#include "train/machine_peak.h"

#include <atomic>
#include <cstring>
#include <functional>
#include <vector>

#include "core/base/blas.h"
#include "core/base/clock.h"
#include "core/base/parallel.h"
#include "core/tensor.h"
#include "kernels/attention.h"
#include "kernels/fma_peak.h"
#include "kernels/gemm.h"

namespace hinoki {
namespace {

double time_of(const std::function<void()>& run) {
  const double begin = steady_seconds();
  run();
  return steady_seconds() - begin;
}

// The shortest of at least `least` runs, and of as many as fit in `seconds`.
double best_seconds(int least, const std::function<void()>& run, double seconds = 0.3) {
  run();
  double best = 1e30, spent = 0;
  for (int i = 0; i < least || (spent < seconds && i < 1000); ++i) {
    const double s = time_of(run);
    best = std::min(best, s);
    spent += s;
  }
  return best;
}

// In registers, on every thread of the current pool; how many operations.
double multiply_and_add(int64_t rounds) {
  const int threads = pool().threads();
  std::vector<double> flops(size_t(threads) * 8);  // apart by a cache line
  std::vector<float> sink(size_t(threads) * 16);
  parallel(threads, [&](int64_t i) {
    kernels::fma_peak.run(Device::cpu, {},
                          {.rounds = rounds, .sink = &sink[size_t(i) * 16], .flops = &flops[size_t(i) * 8]});
  });
  return flops[0] * threads;
}

// Tensors, since those of a training step lie in huge pages.
Tensor filled(int64_t count) {
  Tensor t = empty({count}, DType::f32);
  uint32_t x = 1;
  for (int64_t i = 0; i < count; ++i) t.as<float>()[i] = float((x = x * 1664525 + 1013904223) >> 8) * 0x1p-24f - 0.5f;
  return t;
}

}  // namespace

double measure_fma_peak_gflops(int threads, double time) {
  ThreadPool pool(threads);
  const UsePool use(pool);
  double flops = 0;
  const double seconds = best_seconds(
      10, [&] { flops = multiply_and_add(2000000); }, time);
  return flops / seconds * 1e-9;
}

double fma_gflops_now() {
  double flops = 0, seconds = 0;
  for (const double began = steady_seconds(); seconds < 0.02; seconds = steady_seconds() - began)
    flops += multiply_and_add(100000);
  return flops / seconds * 1e-9;
}

double measure_copy_gbs(int threads) {
  constexpr int64_t bytes = 256 << 20, block = 1 << 20;
  ThreadPool pool(threads);
  const UsePool use(pool);
  std::vector<char> from(bytes, 1), to(bytes, 2);
  const double seconds = best_seconds(5, [&] {
    parallel_blocks(bytes, block,
                    [&](int64_t begin, int64_t end) { std::memcpy(&to[begin], &from[begin], end - begin); });
  });
  return 2.0 * bytes / seconds * 1e-9;
}

double measure_read_gbs(int threads) {
  constexpr int64_t words = 32 << 20, block = 1 << 15;
  ThreadPool pool(threads);
  const UsePool use(pool);
  const Tensor from = filled(2 * words);
  const auto* data = static_cast<const uint64_t*>(from.data());
  std::atomic<uint64_t> all{0};
  const double seconds = best_seconds(5, [&] {
    parallel_blocks(words, block, [&](int64_t begin, int64_t end) {
      uint64_t x[8] = {};
      for (int64_t i = begin; i < end; i += 8)
        for (int j = 0; j < 8; ++j) x[j] ^= data[i + j];
      all ^= x[0] ^ x[1] ^ x[2] ^ x[3] ^ x[4] ^ x[5] ^ x[6] ^ x[7];
    });
  });
  return double(words) * sizeof(uint64_t) / seconds * 1e-9;
}

double measure_gemm_gflops(const GemmMeasurement& what) {
  const auto [m, n, k] = std::tuple(what.m, what.n, what.k);
  const Tensor x = filled(m * k), w = filled(n * k), y = filled(m * n);
  const Tensor out = filled(what.layout == GemmLayout::forward          ? m * n
                            : what.layout == GemmLayout::input_gradient ? m * k
                                                                        : n * k);
  float* c = out.as<float>();
  kernels::Gemm g{};
  switch (what.layout) {
    case GemmLayout::forward:
      g = {.a = x.data(),
           .b = w.data(),
           .c = c,
           .m = m,
           .n = n,
           .k = k,
           .lda = k,
           .ldb = k,
           .ldc = n,
           .b_transposed = true};
      break;
    case GemmLayout::input_gradient:
      g = {.a = y.data(), .b = w.data(), .c = c, .m = m, .n = k, .k = n, .lda = n, .ldb = k, .ldc = k};
      break;
    case GemmLayout::weight_gradient:
      g = {.a = y.data(),
           .b = x.data(),
           .c = c,
           .m = n,
           .n = k,
           .k = m,
           .lda = n,
           .ldb = k,
           .ldc = k,
           .a_transposed = true,
           .accumulate = true};
      break;
  }
  ThreadPool pool(what.threads);
  const UsePool use(pool);
  const std::string before = gemm_library() == GemmLibrary::own ? "own" : "openblas";
  set_gemm_library(what.library);
  const double seconds = best_seconds(3, [&] { kernels::gemm.run(Device::cpu, {}, g); });
  set_gemm_library(before);
  return 2.0 * double(m) * double(n) * double(k) / seconds * 1e-9;
}

AttentionRates measure_attention_gflops(const AttentionMeasurement& what) {
  const auto [batch, heads, dim, time] = std::tuple(what.batch, what.heads, what.dim, what.time);
  const int64_t width = heads * dim;
  const Tensor qkv = filled(batch * time * 3 * width), dout = filled(batch * time * width);
  const Tensor out = filled(batch * time * width), lse = filled(batch * heads * time), dqkv = filled(qkv.numel());
  const auto part = [&]<class Rows>(float* base, int64_t at) {
    return Rows{base + at, time * 3 * width, 3 * width, 3 * dim};
  };
  const auto packed = [&](int64_t at) { return part.operator()<kernels::HeadRows>(qkv.as<float>(), at); };
  const auto gradient = [&](int64_t at) { return part.operator()<kernels::MutableHeadRows>(dqkv.as<float>(), at); };
  const kernels::AttentionShape shape{
      .batch = batch, .heads = heads, .dim = dim, .q_time = time, .kv_time = time, .scale = 1 / std::sqrt(double(dim))};
  ThreadPool pool(what.threads);
  const UsePool use(pool);
  const double forward = best_seconds(3, [&] {
    kernels::attention.run(Device::cpu, {},
                           {.shape = shape,
                            .q = packed(0),
                            .k = packed(dim),
                            .v = packed(2 * dim),
                            .out = {out.data(), time * width, width, dim},
                            .lse = lse.data()});
  });
  const double backward = best_seconds(3, [&] {
    kernels::attention_grad.run(Device::cpu, {},
                                {.shape = shape,
                                 .q = packed(0),
                                 .k = packed(dim),
                                 .v = packed(2 * dim),
                                 .out = {out.data(), time * width, width, dim},
                                 .dout = {dout.data(), time * width, width, dim},
                                 .lse = lse.data(),
                                 .dq = gradient(0),
                                 .dk = gradient(dim),
                                 .dv = gradient(2 * dim)});
  });
  const double product = double(batch * heads) * double(time) * double(time + 1) * double(dim) * 1e-9;
  return {2 * product / forward, 5 * product / backward};
}

}  // namespace hinoki
