// CUDA kernels of strided copies. Axes are put in the order of y and merged where both arrays allow; runs that both
// have in one piece go by up to 16 bytes a thread, and a transposition goes through tiles in shared memory. Bound by
// memory: 85 % of the copy bandwidth is expected for runs of 16 bytes and more, 60 % for transpositions of bf16 and 70
// % for those of f32.
#include <algorithm>
#include <vector>

#include "kernels/copy.h"
#include "kernels/cuda/grid.h"

namespace hinoki::kernels {
namespace {

constexpr int kMaxRank = Shape::kMaxRank;

struct Axis {
  int64_t size, x, y;  // strides in elements
};

// A kernel's parameter: the last axis is the fastest in y.
struct Axes {
  int rank;
  int64_t size[kMaxRank], x[kMaxRank], y[kMaxRank];
};

struct Place {
  int64_t x, y;
};

// Of element `index` in the order of the axes. Index is 32 bits wide where that suffices: division is slow.
template <class Index>
__device__ Place place_of(const Axes& axes, Index index) {
  Place at{0, 0};
#pragma unroll
  for (int a = kMaxRank - 1; a >= 0; --a) {
    if (a >= axes.rank) continue;
    Index here = index;
    if (a > 0) {
      const Index size = Index(axes.size[a]), outer = index / size;
      here = index - outer * size;
      index = outer;
    }
    at.x += int64_t(here) * axes.x[a];
    at.y += int64_t(here) * axes.y[a];
  }
  return at;
}

constexpr int kCopyUnroll = 4;

template <class Unit, class Index>
__global__ void __launch_bounds__(kMapThreads) copy_units(const Unit* x, Unit* y, Index count, Axes axes) {
  const Index first = Index(blockIdx.x) * (kMapThreads * kCopyUnroll) + threadIdx.x;
  Unit value[kCopyUnroll];
  int64_t to[kCopyUnroll];
#pragma unroll
  for (int u = 0; u < kCopyUnroll; ++u)
    if (const Index i = first + Index(u * kMapThreads); i < count) {
      const Place at = place_of(axes, i);
      value[u] = x[at.x];
      to[u] = at.y;
    }
#pragma unroll
  for (int u = 0; u < kCopyUnroll; ++u)
    if (first + Index(u * kMapThreads) < count) y[to[u]] = value[u];
}

template <class Unit>
void launch_units(const Copy& k, const Axes& axes, Stream s) {
  int64_t count = 1;
  for (int a = 0; a < axes.rank; ++a) count *= axes.size[a];
  const Unit* const x = static_cast<const Unit*>(k.x);
  Unit* const y = static_cast<Unit*>(k.y);
  const unsigned blocks = blocks_for(count, kMapThreads * kCopyUnroll);
  if (count < 1 << 30)
    simt::launch(copy_units<Unit, uint32_t>, blocks, kMapThreads, 0, s, x, y, uint32_t(count), axes);
  else
    simt::launch(copy_units<Unit, uint64_t>, blocks, kMapThreads, 0, s, x, y, uint64_t(count), axes);
}

constexpr int kTile = 32, kTileThreads = 8;  // a block of 32 x 8 threads moves 32 x 32 elements

// x is contiguous along axis `a`, y along axis `b`; the others are `outer`.
struct Transposition {
  Axes outer;
  Axis a, b;
  int64_t tiles_a, tiles_b;
};

template <class E>
__global__ void __launch_bounds__(kTile* kTileThreads) transpose_tiles(const E* x, E* y, Transposition t) {
  SHARED(tile, E[kTile][kTile + 1]);
  const int64_t of_outer = blockIdx.x / (t.tiles_a * t.tiles_b), rest = blockIdx.x - of_outer * (t.tiles_a * t.tiles_b);
  const int64_t first_a = rest / t.tiles_b * kTile, first_b = rest % t.tiles_b * kTile;
  const Place at = place_of(t.outer, uint64_t(of_outer));
  const int lane = int(threadIdx.x);
  for (int j = int(threadIdx.y); j < kTile; j += kTileThreads)
    if (first_a + lane < t.a.size && first_b + j < t.b.size)
      tile[j][lane] = x[at.x + (first_a + lane) * t.a.x + (first_b + j) * t.b.x];
  __syncthreads();
  for (int j = int(threadIdx.y); j < kTile; j += kTileThreads)
    if (first_a + j < t.a.size && first_b + lane < t.b.size)
      y[at.y + (first_a + j) * t.a.y + (first_b + lane) * t.b.y] = tile[lane][j];
}

template <class E>
void launch_transposition(const Copy& k, const Transposition& t, Stream s) {
  int64_t blocks = t.tiles_a * t.tiles_b;
  for (int a = 0; a < t.outer.rank; ++a) blocks *= t.outer.size[a];
  simt::launch(transpose_tiles<E>, blocks_for(blocks, 1), dim3(kTile, kTileThreads), 0, s, static_cast<const E*>(k.x),
               static_cast<E*>(k.y), t);
}

// The fewest axes that say the same, in descending order of y's strides; none for a single element.
std::vector<Axis> simplified(const Copy& k) {
  std::vector<Axis> axes;
  for (int a = 0; a < k.shape.rank(); ++a)
    if (k.shape[a] != 1) axes.push_back({k.shape[a], k.x_strides[a], k.y_strides[a]});
  std::stable_sort(axes.begin(), axes.end(), [](const Axis& a, const Axis& b) { return a.y > b.y; });
  std::vector<Axis> merged;
  for (const Axis& axis : axes) {
    if (!merged.empty() && merged.back().x == axis.x * axis.size && merged.back().y == axis.y * axis.size)
      merged.back() = {merged.back().size * axis.size, axis.x, axis.y};
    else
      merged.push_back(axis);
  }
  return merged;
}

Axes packed(const std::vector<Axis>& axes) {
  Axes p{.rank = int(axes.size()), .size = {}, .x = {}, .y = {}};
  for (int a = 0; a < p.rank; ++a) {
    p.size[a] = axes[a].size;
    p.x[a] = axes[a].x;
    p.y[a] = axes[a].y;
  }
  return p;
}

bool has_common_runs(const std::vector<Axis>& axes) {
  return axes.empty() || (axes.back().x == 1 && axes.back().y == 1);
}

// The most bytes, up to 16, in which all runs can be copied.
int64_t unit_bytes(const Copy& k, const std::vector<Axis>& axes) {
  int64_t bytes = int64_t(k.element);
  if (axes.empty() || !has_common_runs(axes)) return bytes;
  const auto fits = [&](int64_t unit) {
    uint64_t all =
        uint64_t(axes.back().size) * k.element | reinterpret_cast<uintptr_t>(k.x) | reinterpret_cast<uintptr_t>(k.y);
    for (size_t a = 0; a + 1 < axes.size(); ++a) all |= (uint64_t(axes[a].x) | uint64_t(axes[a].y)) * k.element;
    return all % uint64_t(unit) == 0;
  };
  while (bytes < 16 && fits(2 * bytes)) bytes *= 2;
  return bytes;
}

void copy_by_units(const Copy& k, std::vector<Axis> axes, Stream s) {
  const int64_t unit = unit_bytes(k, axes), elements = unit / int64_t(k.element);
  for (size_t a = 0; elements > 1 && a < axes.size(); ++a) {
    const bool last = a + 1 == axes.size();
    axes[a] =
        last ? Axis{axes[a].size / elements, 1, 1} : Axis{axes[a].size, axes[a].x / elements, axes[a].y / elements};
  }
  const Axes p = packed(axes);
  switch (unit) {
    case 1:
      return launch_units<uint8_t>(k, p, s);
    case 2:
      return launch_units<uint16_t>(k, p, s);
    case 4:
      return launch_units<uint32_t>(k, p, s);
    case 8:
      return launch_units<uint64_t>(k, p, s);
    default:
      return launch_units<uint4>(k, p, s);
  }
}

void copy_by_tiles(const Copy& k, std::vector<Axis> axes, size_t a, Stream s) {
  Transposition t{.outer = {}, .a = axes[a], .b = axes.back(), .tiles_a = 0, .tiles_b = 0};
  t.tiles_a = (t.a.size + kTile - 1) / kTile;
  t.tiles_b = (t.b.size + kTile - 1) / kTile;
  axes.pop_back();
  axes.erase(axes.begin() + int64_t(a));
  t.outer = packed(axes);
  switch (k.element) {
    case 1:
      return launch_transposition<uint8_t>(k, t, s);
    case 2:
      return launch_transposition<uint16_t>(k, t, s);
    case 4:
      return launch_transposition<uint32_t>(k, t, s);
    default:
      return launch_transposition<uint64_t>(k, t, s);
  }
}

const bool ready = copy.provide(Device::cuda, [](const Copy& k, Stream s) {
  require(k.shape.rank() == k.x_strides.rank() && k.shape.rank() == k.y_strides.rank(), "copy: shape ", k.shape,
          " with strides ", k.x_strides, " and ", k.y_strides);
  require(k.element == 1 || k.element == 2 || k.element == 4 || k.element == 8, "copy: elements of ", k.element,
          " bytes");
  if (k.shape.numel() == 0) return;
  const std::vector<Axis> axes = simplified(k);
  const auto across = std::find_if(axes.begin(), axes.end(), [](const Axis& a) { return a.x == 1 && a.size >= 8; });
  if (has_common_runs(axes) || across == axes.end() || across + 1 == axes.end() || axes.back().size < 8)
    copy_by_units(k, axes, s);
  else
    copy_by_tiles(k, axes, size_t(across - axes.begin()), s);
});

}  // namespace
}  // namespace hinoki::kernels
