// CUDA kernels of layer normalization: one pass over memory, each row in the registers of a warp or a block.
// Roofline (copy bandwidth): forward 2 arrays, with a residual sum 4 or 5; backward 3 or 4 (dy, s, dsum, dx) and 3 to
// 6 % more for the partial sums of dweight and dbias. 90 % of it is expected, 85 % backward: for each row a thread has
// 32 to 96 bytes under way, an SM 48 KiB or more. Rows longer than kLongest or not aligned take the plain kernels of
// layer_norm_plain.
#include "kernels/cuda/layer_norm_plain.h"
#include "kernels/cuda/scratch.h"
#include "kernels/layer_norm.h"

namespace hinoki::kernels {
namespace {

constexpr int64_t kLongest = 8192;  // columns
constexpr int kHeld = 32;           // of a row by each of its threads
constexpr int kHeldGrad = 16;       // beside two sums and, in bf16, the next row's
constexpr int kThreadsOfSm = 512;   // of the backward pass: 128 registers each

// Rows are read by teams of this many threads: a warp, several to a block, or a whole block.
template <int team>
constexpr int kThreads = team == simt::kWarp ? 128 : team;

template <int team, int count>
__device__ void team_sum(float (&values)[count]) {
  if constexpr (team > simt::kWarp) {
    block_sum(values);
  } else {
#pragma unroll
    for (float& value : values) value = warp_sum(value);
  }
}

// 16 bytes as they are in memory.
template <class T>
__device__ uint4 load_raw(const T* p) {
  return *reinterpret_cast<const uint4*>(p);
}
__device__ void unpack(float (&x)[8], uint4 raw, bf16) {
  const uint32_t words[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    x[2 * i] = low_bf16(words[i]);
    x[2 * i + 1] = high_bf16(words[i]);
  }
}
__device__ void unpack(float (&x)[4], uint4 raw, float) {
  x[0] = __uint_as_float(raw.x);
  x[1] = __uint_as_float(raw.y);
  x[2] = __uint_as_float(raw.z);
  x[3] = __uint_as_float(raw.w);
}
// Of what no kernel writes: such loads may pass stores.
template <class T>
__device__ void load_constant(float (&x)[kVector<T>], const T* p) {
  unpack(x, __ldg(reinterpret_cast<const uint4*>(p)), T{});
}

template <class T, int team>
__global__ void __launch_bounds__(kThreads<team>) normalize_rows(NormArrays<T> a) {
  constexpr int kWide = kVector<T>, kSteps = kHeld / kWide;
  const int member = int(threadIdx.x) % team;
  const int64_t row = int64_t{blockIdx.x} * (kThreads<team> / team) + int(threadIdx.x) / team;
  if (row >= a.rows) return;  // a whole warp
  const int64_t start = row * a.cols;
  const auto column = [&](int step) { return (step * team + member) * kWide; };

  float s[kSteps][kWide] = {};
#pragma unroll
  for (int i = 0; i < kSteps; ++i)
    if (column(i) < a.cols) load_vector(s[i], a.x + start + column(i));
  for (const T* delta : {a.delta, a.delta2}) {
    if (delta == nullptr) continue;
#pragma unroll
    for (int i = 0; i < kSteps; ++i) {
      if (column(i) >= a.cols) continue;
      float d[kWide];
      load_vector(d, delta + start + column(i));
#pragma unroll
      for (int j = 0; j < kWide; ++j) s[i][j] += d[j];
    }
  }
  if (a.sum != nullptr) {
#pragma unroll
    for (int i = 0; i < kSteps; ++i) {
      if (column(i) >= a.cols) continue;
      store_vector(a.sum + start + column(i), s[i]);
#pragma unroll
      for (int j = 0; j < kWide; ++j) s[i][j] = widen(narrow<T>(s[i][j]));
    }
  }

  float sum[1] = {0}, squares[1] = {0};
#pragma unroll
  for (int i = 0; i < kSteps; ++i)
#pragma unroll
    for (int j = 0; j < kWide; ++j) sum[0] += s[i][j];
  team_sum<team>(sum);
  const float mean = sum[0] / float(a.cols);
#pragma unroll
  for (int i = 0; i < kSteps; ++i) {
    if (column(i) >= a.cols) continue;
#pragma unroll
    for (int j = 0; j < kWide; ++j) squares[0] += (s[i][j] - mean) * (s[i][j] - mean);
  }
  team_sum<team>(squares);
  const float rstd = 1 / sqrtf(squares[0] / float(a.cols) + a.eps);

#pragma unroll
  for (int i = 0; i < kSteps; ++i) {
    if (column(i) >= a.cols) continue;
    float weight[kWide], bias[kWide] = {};
    load_constant(weight, a.weight + column(i));
    if (a.bias != nullptr) load_constant(bias, a.bias + column(i));
#pragma unroll
    for (int j = 0; j < kWide; ++j) s[i][j] = (s[i][j] - mean) * rstd * weight[j] + bias[j];
    store_vector(a.y + start + column(i), s[i]);
  }
  if (member == 0) {
    a.mean[row] = mean;
    a.rstd[row] = rstd;
  }
}

// What a thread holds of a row of the backward pass; loaded while the row before is summed.
template <class T>
struct RawRow {
  static constexpr int kSteps = kHeldGrad / kVector<T>;
  uint4 dy[kSteps], s[kSteps], dsum[kSteps];
  float mean, rstd;
};

template <class T, int team>
__device__ void load_row(RawRow<T>& raw, const NormGradArrays<T>& a, int64_t row, int member) {
#pragma unroll
  for (int i = 0; i < RawRow<T>::kSteps; ++i) {
    const int c = (i * team + member) * kVector<T>;
    if (c >= a.cols) continue;
    const int64_t at = row * a.cols + c;
    raw.dy[i] = load_raw(a.dy + at);
    raw.s[i] = load_raw(a.s + at);
    if (a.dsum != nullptr) raw.dsum[i] = load_raw(a.dsum + at);
  }
  raw.mean = a.mean[row];
  raw.rstd = a.rstd[row];
}

// Writes one row of dx, and adds the row's share to the sums of dweight and dbias.
template <class T, int team>
__device__ void one_row(const RawRow<T>& raw, const NormGradArrays<T>& a, int64_t row, int member,
                        float (&dweight)[RawRow<T>::kSteps][kVector<T>],
                        float (&dbias)[RawRow<T>::kSteps][kVector<T>]) {
  constexpr int kWide = kVector<T>, kSteps = RawRow<T>::kSteps;
  float sums[2] = {0, 0};  // of g and g h
#pragma unroll
  for (int i = 0; i < kSteps; ++i) {
    const int c = (i * team + member) * kWide;
    if (c >= a.cols) continue;
    float dy[kWide], s[kWide], weight[kWide];
    unpack(dy, raw.dy[i], T{});
    unpack(s, raw.s[i], T{});
    load_constant(weight, a.weight + c);
#pragma unroll
    for (int j = 0; j < kWide; ++j) {
      const float h = (s[j] - raw.mean) * raw.rstd, g = dy[j] * weight[j];
      dweight[i][j] += dy[j] * h;
      dbias[i][j] += dy[j];
      sums[0] += g;
      sums[1] += g * h;
    }
  }
  team_sum<team>(sums);
  const float avg_g = sums[0] / float(a.cols), avg_gh = sums[1] / float(a.cols);
#pragma unroll
  for (int i = 0; i < kSteps; ++i) {
    const int c = (i * team + member) * kWide;
    if (c >= a.cols) continue;
    float dx[kWide], dy[kWide], s[kWide], weight[kWide], dsum[kWide] = {};
    unpack(dy, raw.dy[i], T{});
    unpack(s, raw.s[i], T{});
    load_constant(weight, a.weight + c);
    if (a.dsum != nullptr) unpack(dsum, raw.dsum[i], T{});
#pragma unroll
    for (int j = 0; j < kWide; ++j)
      dx[j] = raw.rstd * (dy[j] * weight[j] - avg_g - (s[j] - raw.mean) * raw.rstd * avg_gh) + dsum[j];
    store_vector(a.dx + row * a.cols + c, dx);
  }
}

// A block takes `rows_of_block` rows one after the other and leaves their shares of dweight and dbias in `partials`.
template <class T, int team>
__global__ void __launch_bounds__(kThreads<team>, kThreadsOfSm / kThreads<team>) backward_rows(NormGradArrays<T> a) {
  constexpr int kWide = kVector<T>, kSteps = RawRow<T>::kSteps, kTeams = kThreads<team> / team;
  const int member = int(threadIdx.x) % team, my_team = int(threadIdx.x) / team;
  const int64_t begin = int64_t{blockIdx.x} * a.rows_of_block, end = min(begin + a.rows_of_block, a.rows);

  float dweight[kSteps][kWide] = {}, dbias[kSteps][kWide] = {};
  if constexpr (sizeof(T) == 2) {
    RawRow<T> now{};
    int64_t row = begin + my_team;
    if (row < end) load_row<T, team>(now, a, row, member);
    for (; row < end; row += kTeams) {
      RawRow<T> next{};
      if (row + kTeams < end) load_row<T, team>(next, a, row + kTeams, member);
      one_row<T, team>(now, a, row, member, dweight, dbias);
      now = next;
    }
  } else {  // two rows of f32 would not fit into the registers
    for (int64_t row = begin + my_team; row < end; row += kTeams) {
      RawRow<T> now{};
      load_row<T, team>(now, a, row, member);
      one_row<T, team>(now, a, row, member, dweight, dbias);
    }
  }

  if (a.partials == nullptr) return;
  float* out = a.partials + int64_t{blockIdx.x} * 2 * a.cols;
  if constexpr (kTeams == 1) {
#pragma unroll
    for (int i = 0; i < kSteps; ++i)
#pragma unroll
      for (int j = 0; j < kWide; ++j) {
        const int c = (i * team + member) * kWide + j;
        if (c >= a.cols) continue;
        out[c] = dweight[i][j];
        out[a.cols + c] = dbias[i][j];
      }
  } else {
    SHARED(parts, float[kTeams][2][team * kHeldGrad]);
#pragma unroll
    for (int i = 0; i < kSteps; ++i)
#pragma unroll
      for (int j = 0; j < kWide; ++j) {
        const int c = (i * team + member) * kWide + j;
        parts[my_team][0][c] = dweight[i][j];
        parts[my_team][1][c] = dbias[i][j];
      }
    __syncthreads();
    for (int i = int(threadIdx.x); i < 2 * a.cols; i += int(blockDim.x)) {
      const int which = i >= a.cols, c = i - which * a.cols;
      float sum = parts[0][which][c];
      for (int t = 1; t < kTeams; ++t) sum += parts[t][which][c];
      out[i] = sum;
    }
  }
}

// Adds up partials[count][2][cols]. A block of 32 warps for 32 columns: warp w first adds every 32nd partial, then the
// shares of column w.
__global__ void __launch_bounds__(1024)
    finish_partials(const float* partials, float* dweight, float* dbias, int count, int64_t cols, bool accumulate) {
  SHARED(parts, float[32][33]);
  const int lane = lane_of_warp(), warp = warp_of_block();
  int64_t c = int64_t{blockIdx.x} * 32 + lane;
  float sum = 0;
  if (c < 2 * cols)
#pragma unroll 8
    for (int i = warp; i < count; i += 32) sum += partials[i * 2 * cols + c];
  parts[warp][lane] = sum;
  __syncthreads();
  sum = warp_sum(parts[lane][warp]);
  c = int64_t{blockIdx.x} * 32 + warp;
  if (lane != 0 || c >= 2 * cols) return;
  float* const out = c < cols ? dweight : dbias;
  if (out == nullptr) return;
  if (c >= cols) c -= cols;
  out[c] = accumulate ? out[c] + sum : sum;
}

template <class T>
void forward(const LayerNorm& k, Stream stream) {
  const NormArrays<T> a(k);
  const bool fast = k.cols <= kLongest && vector_aligned(a.x, k.cols) && vector_aligned(a.delta) &&
                    vector_aligned(a.delta2) && vector_aligned(a.weight) && vector_aligned(a.bias) &&
                    vector_aligned(a.sum) && vector_aligned(a.y);
  const auto run = [&]<int team>() {
    constexpr int kTeams = kThreads<team> / team;
    simt::launch(normalize_rows<T, team>, unsigned((k.rows + kTeams - 1) / kTeams), kThreads<team>, 0, stream, a);
  };
  if (!fast)
    simt::launch(normalize_plain<T>, unsigned(k.rows), kPlainThreads, 0, stream, a);
  else if (k.cols <= 32 * kHeld)
    run.template operator()<32>();
  else if (k.cols <= 128 * kHeld)
    run.template operator()<128>();
  else
    run.template operator()<256>();
}

// The rows of a block. Bits depend on it, so it depends on nothing but the sizes: blocks fill an H200 once.
int64_t rows_of_block(int64_t rows, int threads) {
  const int64_t blocks = 132 * kThreadsOfSm / threads;
  return std::max<int64_t>(8, (rows + blocks - 1) / blocks);
}

template <class T>
void backward(const LayerNormGrad& k, Stream stream) {
  NormGradArrays<T> a(k);
  const bool fast = k.cols <= kLongest && vector_aligned(a.dy, k.cols) && vector_aligned(a.s) &&
                    vector_aligned(a.weight) && vector_aligned(a.dsum) && vector_aligned(a.dx);
  const int team = k.cols <= 32 * kHeldGrad ? 32 : k.cols <= 128 * kHeldGrad ? 128 : k.cols <= 4096 ? 256 : 512;
  a.rows_of_block = fast ? rows_of_block(k.rows, std::max(team, 128)) : plain_rows_of_block(k.rows);
  const int64_t blocks = (k.rows + a.rows_of_block - 1) / a.rows_of_block;
  const bool sums = k.dweight != nullptr || k.dbias != nullptr;
  if (sums) a.partials = cuda_scratch<float>(stream, size_t(std::max<int64_t>(1, blocks) * 2 * k.cols));

  const auto run = [&]<int size>() {
    simt::launch(backward_rows<T, size>, unsigned(blocks), kThreads<size>, 0, stream, a);
  };
  if (!fast)
    backward_plain(a, blocks, stream);
  else if (team == 32)
    run.template operator()<32>();
  else if (team == 128)
    run.template operator()<128>();
  else if (team == 256)
    run.template operator()<256>();
  else
    run.template operator()<512>();
  if (sums)
    simt::launch(finish_partials, unsigned((2 * k.cols + 31) / 32), 1024, 0, stream, a.partials,
                 static_cast<float*>(k.dweight), static_cast<float*>(k.dbias), int(blocks), k.cols, k.accumulate);
}

template <class K>
void check(const char* name, const K& k) {
  require(k.rows >= 0 && k.rows <= INT32_MAX && k.cols >= 1 && k.cols <= INT32_MAX / 8, name, ": ", k.rows, " rows of ",
          k.cols, " are too many for its CUDA kernel");
}

const bool ready = layer_norm.provide(Device::cuda, [](const LayerNorm& k, Stream stream) {
  check("layer_norm", k);
  require((k.delta || k.delta2) == (k.sum != nullptr), "layer_norm: a residual sum needs a delta and a place to go");
  visit_cuda_float("layer_norm", k.dtype, [&]<class T>() { forward<T>(k, stream); });
}) && layer_norm_grad.provide(Device::cuda, [](const LayerNormGrad& k, Stream stream) {
  check("layer_norm_grad", k);
  visit_cuda_float("layer_norm_grad", k.dtype, [&]<class T>() { backward<T>(k, stream); });
});

}  // namespace
}  // namespace hinoki::kernels
