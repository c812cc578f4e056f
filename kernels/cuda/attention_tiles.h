// Tiles of bf16 rows in shared memory, and what a warp does with them on tensor cores.
//
// A warp holds scores and sums as fragments of atoms of 16 rows by 8 columns: element e of a lane is in row
// lane / 4 + e / 2 * 8, column lane % 4 * 2 + e % 2 of its atom. A fragment of scores, packed, is the left operand of
// the next product, so probabilities never leave the registers.
#pragma once
#include "kernels/cuda/attention_rows.h"

namespace hinoki::kernels {

// Elements from row to row: an odd number of 16-byte pieces, so that ldmatrix meets no bank twice.
template <int kDim>
constexpr int kPitch = kDim + 8;

template <int kAtoms, int kColumns>
using Scores = float[kAtoms][kColumns / 8][4];

// Starts to copy rows [first, first + kRows); zeros past `count` rows and past `dim` elements. A thread keeps to one
// piece of the rows, so that its addresses are a step apart and take few registers.
template <int kRows, int kDim, int kThreads>
__device__ __forceinline__ void copy_tile(bf16* tile, const Rows<const bf16>& from, int first, int count, int dim) {
  constexpr unsigned kPieces = kDim / 8, kStep = kThreads / kPieces;
  const unsigned top = threadIdx.x / kPieces, column = threadIdx.x % kPieces * 8;
  if (kStep * kPieces < kThreads && top >= kStep) return;
  const int left = int(column) < dim ? count - first - int(top) : 0;
  const unsigned place = (unsigned(first) + top) * unsigned(from.stride) + column;  // near_rows: 32 bits are enough
  tile += top * kPitch<kDim> + column;
#pragma unroll
  for (int i = 0; i < kRows; i += kStep)
    if (kRows % kStep == 0 || i + int(top) < kRows)
      simt::cp_async16(tile + i * kPitch<kDim>, from.data + (place + unsigned(i) * unsigned(from.stride)), i < left);
}

// scores += a b^T over kDim: `a` is the warp's first row of a tile, `b` a tile of as many rows as there are columns.
template <int kDim, int kAtoms, int kBlocks>
__device__ __forceinline__ void multiply_across(float (&scores)[kAtoms][kBlocks][4], const bf16* a, const bf16* b) {
  const unsigned lane = threadIdx.x % 32;
  a += lane % 16 * kPitch<kDim> + lane / 16 * 8;
  b += (lane / 16 * 8 + lane % 8) * kPitch<kDim> + lane / 8 % 2 * 8;
#pragma unroll
  for (int d = 0; d < kDim; d += 16) {
    uint32_t left[kAtoms][4];
#pragma unroll
    for (int m = 0; m < kAtoms; ++m) simt::ldmatrix_x4(left[m], a + m * 16 * kPitch<kDim> + d);
#pragma unroll
    for (int n = 0; n < kBlocks; n += 2) {
      uint32_t right[4];
      simt::ldmatrix_x4(right, b + n * 8 * kPitch<kDim> + d);
#pragma unroll
      for (int m = 0; m < kAtoms; ++m) {
        simt::mma_m16n8k16(scores[m][n], left[m], right[0], right[1]);
        simt::mma_m16n8k16(scores[m][n + 1], left[m], right[2], right[3]);
      }
    }
  }
}

// sums += p b: `p` has as many columns as the tile `b` has rows.
template <int kDim, int kAtoms, int kBlocks>
__device__ __forceinline__ void multiply_down(float (&sums)[kAtoms][kDim / 8][4], const float (&p)[kAtoms][kBlocks][4],
                                              const bf16* b) {
  const unsigned lane = threadIdx.x % 32;
  b += lane % 16 * kPitch<kDim> + lane / 16 * 8;
#pragma unroll
  for (int n = 0; n < kBlocks; n += 2) {
    uint32_t left[kAtoms][4];
#pragma unroll
    for (int m = 0; m < kAtoms; ++m)
#pragma unroll
      for (int i = 0; i < 4; ++i) left[m][i] = pack_bf16(p[m][n + i / 2][i % 2 * 2], p[m][n + i / 2][i % 2 * 2 + 1]);
#pragma unroll
    for (int d = 0; d < kDim; d += 16) {
      uint32_t right[4];
      simt::ldmatrix_x4_trans(right, b + n * 8 * kPitch<kDim> + d);
#pragma unroll
      for (int m = 0; m < kAtoms; ++m) {
        simt::mma_m16n8k16(sums[m][d / 8], left[m], right[0], right[1]);
        simt::mma_m16n8k16(sums[m][d / 8 + 1], left[m], right[2], right[3]);
      }
    }
  }
}

// Does any of the warp's rows see any of the columns? The first row's span begins first, the last row's ends last.
template <int kRows>
__device__ inline bool sees_some(const Span* spans, int column, int columns) {
  return column < spans[kRows - 1].end && column + columns > spans[0].begin;
}
template <int kRows>
__device__ inline bool sees_all(const Span* spans, int column, int columns) {
  return column >= spans[kRows - 1].begin && column + columns <= spans[0].end;
}

// Sets to `value` what a row does not see. `spans`: of the warp's rows. They stay in shared memory, since a warp needs
// them in few tiles, and registers in all.
template <int kAtoms, int kBlocks>
__device__ __forceinline__ void hide(float (&scores)[kAtoms][kBlocks][4], float value, const Span* spans, int column) {
  const unsigned lane = threadIdx.x % 32;
#pragma unroll
  for (int m = 0; m < kAtoms; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const Span seen = spans[m * 16 + half * 8 + lane / 4];
      const unsigned first = unsigned(column) + lane % 4 * 2 - unsigned(seen.begin),
                     count = unsigned(seen.end - seen.begin);
#pragma unroll
      for (int n = 0; n < kBlocks; ++n)
#pragma unroll
        for (int e = 0; e < 2; ++e)
          if (first + n * 8 + e >= count) scores[m][n][half * 2 + e] = value;
    }
}

// Which scores of an atom row dropout keeps: bit 4n + e for element e of fragment n. Every lane draws words for its
// neighbours too: none is drawn twice.
class KeptScores {
 public:
  __device__ KeptScores(const AttentionShape& g, int batch, int head)
      : key_(g.key),
        start_(dropout_index(g, batch, head, 0)),
        pieces_(uint32_t((g.kv_time + 3) / 4)),
        threshold_(dropout_threshold(g)) {}

  // Rows are queries (`row` counts places), columns keys: a pair of lanes shares the four keys of a Philox call.
  template <int kBlocks>
  __device__ uint32_t rows_are_queries(unsigned row, unsigned column) const {
    const unsigned lane = threadIdx.x % 32;
    const uint64_t index = at(row + lane / 4 + lane % 2 * 8, column + lane % 4 / 2 * 4);
    uint32_t mine = 0;
#pragma unroll
    for (int n = 0; n < kBlocks; ++n) mine |= kept_words(key_, index + 2 * n, threshold_) << 4 * n;
    const uint32_t theirs = __shfl_xor_sync(simt::kFullWarp, mine, 1);
    constexpr uint32_t kLow = 0x33333333;
    return lane % 2 ? (theirs >> 2 & kLow) | (mine & ~kLow) : (mine & kLow) | (theirs & kLow) << 2;
  }

  // Rows are keys: four lanes, one above the other, share the keys of a call, and each has four elements of them.
  template <int kBlocks>
  __device__ uint32_t rows_are_keys(unsigned row, unsigned column) const {
    const unsigned lane = threadIdx.x % 32, place = lane / 4 % 4;
    uint64_t index = at(column + lane % 4 * 2 + place % 2, row + lane / 16 * 4 + place / 2 * 8);
    uint32_t mine = 0, kept = 0;
#pragma unroll
    for (int n = 0; n < kBlocks; ++n, index += 8 * uint64_t(pieces_))
      mine |= kept_words(key_, index, threshold_) << 4 * n;
#pragma unroll
    for (int other = 0; other < 4; ++other) {
      const uint32_t theirs = __shfl_xor_sync(simt::kFullWarp, mine, other * 4);
      kept |= (theirs >> place & 0x11111111u) << (place ^ other);
    }
    return kept;
  }

 private:
  __device__ uint64_t at(unsigned query, unsigned first_key) const {
    return start_ + uint64_t(query) * pieces_ + uint64_t(first_key / 4);
  }

  RandomKey key_;
  uint64_t start_;
  uint32_t pieces_, threshold_;
};

// Stores the rows of a warp, each times its factor, by way of `staging`: rows of a tile that only this warp reads.
template <int kDim, int kAtoms>
__device__ __forceinline__ void store_rows(const Rows<bf16>& to, int first, int count, int dim,
                                           const float (&sums)[kAtoms][kDim / 8][4], const float (&factor)[kAtoms][2],
                                           bf16* staging) {
  const unsigned lane = threadIdx.x % 32;
  __syncwarp();  // every lane has read what was there
#pragma unroll
  for (int m = 0; m < kAtoms; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half)
#pragma unroll
      for (int d = 0; d < kDim / 8; ++d)
        *reinterpret_cast<uint32_t*>(staging + (m * 16 + half * 8 + lane / 4) * kPitch<kDim> + d * 8 + lane % 4 * 2) =
            pack_bf16(sums[m][d][half * 2] * factor[m][half], sums[m][d][half * 2 + 1] * factor[m][half]);
  __syncwarp();
  constexpr unsigned kPieces = kDim / 8;
#pragma unroll 4
  for (unsigned i = lane; i < kAtoms * 16 * kPieces; i += 32) {
    const int row = int(i / kPieces), column = int(i % kPieces) * 8;
    if (first + row < count && column < dim)
      *reinterpret_cast<uint4*>(to[first + row] + column) =
          *reinterpret_cast<const uint4*>(staging + row * kPitch<kDim> + column);
  }
}

// Are the elements of a head within 2^31 of each other?
template <class Rows>
bool near_rows(const Rows& x, int64_t time) {
  return x.row_stride < (int64_t{1} << 31) / (time + 256);  // tiles end after time
}

// Calls f.template operator()<kDim>() with the smallest head size of the kernels that holds `dim` elements.
template <class F>
void visit_dim(int64_t dim, F&& f) {
  if (dim <= 32) return f.template operator()<32>();
  if (dim <= 64) return f.template operator()<64>();
  if (dim <= 80) return f.template operator()<80>();
  if (dim <= 96) return f.template operator()<96>();
  f.template operator()<128>();
}
constexpr int64_t kMostTensorDim = 128;

}  // namespace hinoki::kernels
