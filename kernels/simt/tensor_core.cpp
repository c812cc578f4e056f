// ldmatrix and mma. Fragment layouts follow the PTX manual.
#include <bit>

#include "kernels/cuda/simt.h"
#include "kernels/simt/engine.h"

namespace hinoki::simt {
namespace {

template <int Matrices>
struct Rows {
  uint16_t row[8];
  uint32_t out[Matrices];
};

template <int Matrices, bool Transposed>
void load(uint32_t (&r)[Matrices], const void* row, Site site, uintptr_t address) {
  Rows<Matrices> mine{};
  if ((engine->self->index & 31) < 8 * Matrices) {  // the other lanes name no row
    if (reinterpret_cast<uintptr_t>(row) % 16 != 0) fault_alignment("ldmatrix row", row, 16);
    check(row, 16, Access::read, address);
    for (int i = 0; i < 8; ++i) mine.row[i] = static_cast<const uint16_t*>(row)[i];
  }
  const auto complete = [](void* const* arguments, unsigned) {
    const auto element = [&](int m, int i, int j) -> uint32_t {
      return static_cast<Rows<Matrices>*>(arguments[8 * m + (Transposed ? j : i)])->row[Transposed ? i : j];
    };
    for (int l = 0; l < 32; ++l)
      for (int m = 0; m < Matrices; ++m) {
        const int i = l / 4, j = 2 * (l % 4);
        static_cast<Rows<Matrices>*>(arguments[l])->out[m] = element(m, i, j) | element(m, i, j + 1) << 16;
      }
  };
  meet({Transposed ? "ldmatrix.trans" : "ldmatrix", kFullWarp, complete}, &mine, site);
  for (int m = 0; m < Matrices; ++m) r[m] = mine.out[m];
}

struct Fragments {
  uint32_t a[4], b[2];
  float d[4];
};

struct Bf16 {  // two values a register: rows of 16
  static constexpr int kDepth = 16, kPacked = 2;
  static float value(uint32_t bits, int i) { return std::bit_cast<float>(i != 0 ? bits & 0xffff0000u : bits << 16); }
};
struct Tf32 {  // one value a register, of which the hardware reads the upper 19 bits
  static constexpr int kDepth = 8, kPacked = 1;
  static float value(uint32_t bits, int) { return std::bit_cast<float>(bits & 0xffffe000u); }
};

template <class Format>
void multiply(void* const* arguments, unsigned) {
  constexpr int kPacked = Format::kPacked, kHalf = Format::kDepth / 2;
  float a[16][Format::kDepth], b[Format::kDepth][8];
  for (int l = 0; l < 32; ++l) {
    const auto& f = *static_cast<const Fragments*>(arguments[l]);
    const int group = l / 4, first = kPacked * (l % 4);
    for (int o = 0; o < kPacked; ++o) {
      for (int k = 0; k < 4; ++k) a[group + 8 * (k & 1)][first + kHalf * (k >> 1) + o] = Format::value(f.a[k], o);
      for (int k = 0; k < 2; ++k) b[first + kHalf * k + o][group] = Format::value(f.b[k], o);
    }
  }
  for (int l = 0; l < 32; ++l)
    for (int i = 0; i < 4; ++i) {
      float& d = static_cast<Fragments*>(arguments[l])->d[i];
      const int row = l / 4 + 8 * (i >> 1), column = 2 * (l % 4) + (i & 1);
      for (int k = 0; k < Format::kDepth; ++k) d += a[row][k] * b[k][column];
    }
}

template <class Format>
void mma(const char* name, float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, Site site) {
  Fragments mine{{a[0], a[1], a[2], a[3]}, {b0, b1}, {d[0], d[1], d[2], d[3]}};
  meet({name, kFullWarp, multiply<Format>}, &mine, site);
  for (int i = 0; i < 4; ++i) d[i] = mine.d[i];
}

uintptr_t caller(void* address) { return reinterpret_cast<uintptr_t>(address); }

}  // namespace

void ldmatrix_x4(uint32_t (&r)[4], const void* row, Site site) {
  load<4, false>(r, row, site, caller(__builtin_return_address(0)));
}
void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row, Site site) {
  load<4, true>(r, row, site, caller(__builtin_return_address(0)));
}
void ldmatrix_x2(uint32_t (&r)[2], const void* row, Site site) {
  load<2, false>(r, row, site, caller(__builtin_return_address(0)));
}
void ldmatrix_x2_trans(uint32_t (&r)[2], const void* row, Site site) {
  load<2, true>(r, row, site, caller(__builtin_return_address(0)));
}
void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, Site site) {
  mma<Bf16>("mma.m16n8k16", d, a, b0, b1, site);
}
void mma_m16n8k8(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, Site site) {
  mma<Tf32>("mma.m16n8k8", d, a, b0, b1, site);
}

}  // namespace hinoki::simt
