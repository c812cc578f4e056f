// Kernels with one fault each, and what the emulator must say of it, under every schedule. A GPU would run most of them
// without a word: they are no tests there.
#include <gtest/gtest.h>

#include "kernels/cuda/simt.h"
#include "tests/support/device_array.h"
#include "tests/support/expect_error.h"

#if !defined(__CUDACC__)
namespace hinoki {
namespace {

constexpr int kThreads = 64;

struct Arrays {
  float* out;       // [64], not written yet
  const float* in;  // [64]
  int* counts;      // [64], zero
};

// The fault is on `line`, which the message must name with the words of `says`.
template <class Fault>
__global__ void faulty(Arrays a) {
  SHARED(s, float[kThreads]);
  s[threadIdx.x] = a.in[threadIdx.x];
  __syncthreads();
  Fault::run(a, s, int(threadIdx.x));
}

struct Common {
  static constexpr int kBlocks = 1;
  static constexpr size_t kDynamicBytes = 0;
};
using Shared = float (&)[kThreads];

// Races

struct SwapsInPlace : Common {
  static constexpr int line = __LINE__ + 2;
  static constexpr const char* says = "race";
  static void run(Arrays, Shared s, int i) { s[i] = s[63 - i] + 1; }
};
struct LeavesOutSyncwarp : Common {
  static constexpr int line = __LINE__ + 4;
  static constexpr const char* says = "race";
  static void run(Arrays a, Shared s, int i) {
    s[i] = 1;
    a.out[i] = s[i ^ 1];
  }
};
struct WritesOneElement : Common {
  static constexpr int line = __LINE__ + 2;
  static constexpr const char* says = "race: write of 4 bytes of global memory at byte 0 of 256";
  static void run(Arrays a, Shared s, int i) { a.out[0] = s[i]; }
};
struct CountsWithoutAtomics : Common {
  static constexpr int line = __LINE__ + 2;
  static constexpr const char* says = "race";
  static void run(Arrays a, Shared, int i) { a.counts[i % 2] += 1; }
};
struct ReadsWhatIsCounted : Common {
  static constexpr int line = __LINE__ + 4;
  static constexpr const char* says = "race";
  static void run(Arrays a, Shared, int i) {
    atomicAdd(a.counts, 1);
    if (i == 5) a.counts[1] = a.counts[0];
  }
};
struct ReadsAnotherBlock : Common {
  static constexpr int kBlocks = 2;
  static constexpr int line = __LINE__ + 4;
  static constexpr const char* says = "race";
  static void run(Arrays a, Shared, int i) {
    if (blockIdx.x == 0) a.counts[i] = i;
    if (blockIdx.x == 1) a.counts[0] += a.counts[i];
  }
};
struct WritesWithAnotherBlock : Common {
  static constexpr int kBlocks = 3;
  static constexpr int line = __LINE__ + 2;
  static constexpr const char* says = "race: write";
  static void run(Arrays a, Shared s, int i) { a.out[i] = s[i]; }
};
struct WaitsForAFlag : Common {  // a fence and a flag instead of another launch
  static constexpr int kBlocks = 2;
  static constexpr int line = __LINE__ + 6;
  static constexpr const char* says = "race";
  static void run(Arrays a, Shared, int i) {
    if (i > 0) return;
    a.counts[2 + blockIdx.x] = 1;
    __threadfence();
    if (atomicAdd(a.counts, 1) == 1) a.counts[1] = a.counts[2] + a.counts[3];
  }
};
struct OverflowsARow : Common {
  static constexpr int line = __LINE__ + 4;
  static constexpr const char* says = "race: write of 4 bytes of shared table";
  static void run(Arrays, Shared s, int i) {
    SHARED(table, float[9][8]);
    (&table[i / 8][0])[i % 8 + i % 8 / 7] = s[i];
  }
};

// Memory that is not there, or holds nothing yet

struct ReadsPastShared : Common {
  static constexpr int line = __LINE__ + 2;
  static constexpr const char* says = "out of bounds: read of 4 bytes of shared s at byte 256 of 256";
  static void run(Arrays a, Shared s, int i) { a.out[i] = (&s[0])[i + 1]; }
};
struct IndexesPastShared : Common {
  static constexpr int line = __LINE__ + 2;
  static constexpr const char* says = "undefined: index 64 out of bounds";
  static void run(Arrays a, Shared s, int i) { a.out[i] = s[i + 1]; }
};
struct ReadsPastDynamicShared : Common {
  static constexpr size_t kDynamicBytes = 252;
  static constexpr int line = __LINE__ + 4;
  static constexpr const char* says = "out of bounds: write of 4 bytes of shared more at byte 252 of 252";
  static void run(Arrays, Shared, int i) {
    DYNAMIC_SHARED(more, float);
    more[i] = 1;
  }
};
struct ReadsPastGlobal : Common {
  static constexpr int line = __LINE__ + 2;
  static constexpr const char* says = "out of bounds: read of 4 bytes of global memory at byte 256 of 256";
  static void run(Arrays a, Shared, int i) { a.out[i] = a.in[i + 1]; }
};
struct WritesBeforeGlobal : Common {
  static constexpr int line = __LINE__ + 2;
  static constexpr const char* says = "out of bounds: write of 4 bytes of global memory at byte -4 of 256";
  static void run(Arrays a, Shared s, int i) { a.out[i - 1] = s[i]; }
};
struct ReadsUnwrittenShared : Common {
  static constexpr int line = __LINE__ + 6;
  static constexpr const char* says = "uninitialised: read of 4 bytes of shared table";
  static void run(Arrays a, Shared, int i) {
    SHARED(table, float[4][8]);
    if (i < 5) table[1][i] = 1;
    __syncthreads();
    a.out[i] = table[i % 4][i % 8];
  }
};
struct ReadsUnwrittenGlobal : Common {
  static constexpr int line = __LINE__ + 2;
  static constexpr const char* says = "uninitialised: read of 4 bytes of global memory";
  static void run(Arrays a, Shared s, int i) { a.out[i] += s[i]; }
};
const std::vector<float> host_vector(kThreads);
struct ReadsAHostPointer : Common {
  static constexpr int line = __LINE__ + 2;
  static constexpr const char* says = "not device memory: read of 4 bytes at 0x";
  static void run(Arrays a, Shared, int i) { a.out[i] = host_vector.data()[i]; }
};
volatile int host_variable = 0;
struct WritesAHostVariable : Common {
  static constexpr int line = __LINE__ + 2;
  static constexpr const char* says = "not device memory: write";
  static void run(Arrays, Shared, int i) { host_variable = i; }
};
struct ReadsThroughNull : Common {
  static constexpr int line = __LINE__ + 2;
  static constexpr const char* says = "undefined: null pointer";
  static void run(Arrays a, Shared, int i) { a.out[i] = *(a.counts - a.counts + static_cast<int*>(nullptr)); }
};

// Meetings and barriers

struct ShufflesWithHalfAWarp : Common {
  static constexpr int line = __LINE__ + 4;
  static constexpr const char* says = "returned";
  static void run(Arrays a, Shared s, int i) {
    float v = s[i];
    if (i % 32 < 16) v += __shfl_xor_sync(simt::kFullWarp, v, 1);
    a.out[i] = v;
  }
};
struct ShufflesAtTwoPlaces : Common {
  static constexpr int line = __LINE__ + 5;
  static constexpr const char* says = "lanes diverge";
  static void run(Arrays a, Shared s, int i) {
    float v = s[i];
    if (i % 2 == 0)
      v += __shfl_xor_sync(simt::kFullWarp, v, 2);
    else
      v -= __shfl_xor_sync(simt::kFullWarp, v, 2);
    a.out[i] = v;
  }
};
struct ShufflesWithTwoMasks : Common {
  static constexpr int line = __LINE__ + 3;
  static constexpr const char* says = "lanes diverge";
  static void run(Arrays a, Shared s, int i) {
    a.out[i] = __shfl_xor_sync(i % 2 == 0 ? 0xffffffffu : 0xfffffffeu, s[i], 1);
  }
};
struct ShufflesOutsideItsMask : Common {
  static constexpr int line = __LINE__ + 2;
  static constexpr const char* says = "not in its own mask ffff";
  static void run(Arrays a, Shared s, int i) { a.out[i] = __shfl_sync(0x0000ffffu, s[i], 0); }
};
struct ShufflesFromOutsideTheMask : Common {
  static constexpr int line = 0;
  static constexpr const char* says = "a shuffle reads lane 20, which is not in the mask";
  static void run(Arrays a, Shared s, int i) {
    if (i % 32 < 16) a.out[i] = __shfl_sync(0x0000ffffu, s[i], 20);
  }
};
struct ShufflesByThirds : Common {
  static constexpr int line = 0;
  static constexpr const char* says = "a shuffle's width is 12, not a power of two";
  static void run(Arrays a, Shared s, int i) { a.out[i] = __shfl_xor_sync(simt::kFullWarp, s[i], 1, 12); }
};
struct SkipsABarrier : Common {
  static constexpr int line = __LINE__ + 3;
  static constexpr const char* says = "deadlock:\n  threads 0 to 31: at __syncthreads (faults_test.cu";
  static void run(Arrays a, Shared s, int i) {
    if (i < 32) __syncthreads();
    a.out[i] = s[i];
  }
};
struct WaitsAtTwoBarriers : Common {
  static constexpr int line = __LINE__ + 4;
  static constexpr const char* says = "threads diverge";
  static void run(Arrays a, Shared s, int i) {
    if (i < 40)
      __syncthreads();
    else
      __syncthreads();
    a.out[i] = s[i];
  }
};

// Copies in the background

struct NeverWaits : Common {
  static constexpr int line = 0;
  static constexpr const char* says = "returned with cp.async copies that it never waited for";
  static void run(Arrays a, Shared s, int i) {
    if (i < 16) simt::cp_async16(&s[4 * i], a.in + 4 * i);
    simt::cp_async_commit();
  }
};
struct WaitsForTooFew : Common {
  static constexpr int line = __LINE__ + 8;
  static constexpr const char* says = "race: ";
  static void run(Arrays a, Shared s, int i) {
    __syncthreads();
    if (i < 16) simt::cp_async16(&s[4 * i], a.in + 4 * i);
    simt::cp_async_commit();
    simt::cp_async_wait<1>();
    __syncthreads();
    a.out[i] = s[63 - i];
    simt::cp_async_wait<0>();
  }
};
struct SharesCopiesWithoutBarrier : Common {
  static constexpr int line = __LINE__ + 7;
  static constexpr const char* says = "race: ";
  static void run(Arrays a, Shared s, int i) {
    __syncthreads();
    if (i < 16) simt::cp_async16(&s[4 * i], a.in + 4 * i);
    simt::cp_async_commit();
    simt::cp_async_wait<0>();
    a.out[i] = s[63 - i];
  }
};
struct CopiesUnaligned : Common {
  static constexpr int line = 0;
  static constexpr const char* says = "cp.async from ";
  static void run(Arrays a, Shared s, int i) {
    if (i < 8) simt::cp_async16(&s[4 * i], a.in + 4 * i + 1);
  }
};

// Alignment, arithmetic, the rest

struct LoadsAVectorUnaligned : Common {
  static constexpr int line = __LINE__ + 2;
  static constexpr const char* says = "undefined: misaligned address";
  static void run(Arrays a, Shared, int i) { a.out[i] = reinterpret_cast<const float4*>(a.in + i % 60)->x; }
};
struct LoadsAMatrixUnaligned : Common {
  static constexpr int line = 0;
  static constexpr const char* says = "ldmatrix row of ";
  static void run(Arrays, Shared s, int i) {
    uint32_t r[4];
    simt::ldmatrix_x4(r, &s[i % 2]);
  }
};
struct ShiftsTooFar : Common {
  static constexpr int line = __LINE__ + 2;
  static constexpr const char* says = "undefined: shift by ";
  static void run(Arrays a, Shared, int i) { a.counts[i] = 1 << (32 + i); }
};
struct OverflowsAnInt : Common {
  static constexpr int line = __LINE__ + 2;
  static constexpr const char* says = "undefined: signed multiplication overflows";
  static void run(Arrays a, Shared, int i) { a.counts[i] = i * 100'000'000; }
};
struct Traps : Common {
  static constexpr int line = 0;
  static constexpr const char* says = "__trap";
  static void run(Arrays, Shared, int i) {
    if (i == 40) __trap();
  }
};
struct WantsTooMuchShared : Common {
  static constexpr int line = 0;
  static constexpr const char* says = "over 49152 bytes of static shared memory with large";
  static void run(Arrays, Shared, int i) {
    SHARED(large, float[12260]);
    large[i] = 1;
  }
};

template <class Fault>
class Faults : public testing::Test {};

template <class Fault>
void run_faulty() {
  const test::DeviceArray<float> out(kThreads), in(std::vector<float>(kThreads, 1.0f));
  const test::DeviceArray<int> counts(std::vector<int>(kThreads, 0));
  simt::launch(faulty<Fault>, Fault::kBlocks, kThreads, Fault::kDynamicBytes, {},
               Arrays{out.data(), in.data(), counts.data()});
}

using AllFaults =
    testing::Types<SwapsInPlace, LeavesOutSyncwarp, WritesOneElement, CountsWithoutAtomics, ReadsWhatIsCounted,
                   ReadsAnotherBlock, WritesWithAnotherBlock, WaitsForAFlag, OverflowsARow, ReadsPastShared,
                   IndexesPastShared, ReadsPastDynamicShared, ReadsPastGlobal, WritesBeforeGlobal, ReadsUnwrittenShared,
                   ReadsUnwrittenGlobal, ReadsAHostPointer, WritesAHostVariable, ReadsThroughNull,
                   ShufflesWithHalfAWarp, ShufflesAtTwoPlaces, ShufflesWithTwoMasks, ShufflesOutsideItsMask,
                   ShufflesFromOutsideTheMask, ShufflesByThirds, SkipsABarrier, WaitsAtTwoBarriers, NeverWaits,
                   WaitsForTooFew, SharesCopiesWithoutBarrier, CopiesUnaligned, LoadsAVectorUnaligned,
                   LoadsAMatrixUnaligned, ShiftsTooFar, OverflowsAnInt, Traps, WantsTooMuchShared>;
TYPED_TEST_SUITE(Faults, AllFaults);

TYPED_TEST(Faults, IsFoundWithItsLine) {
  std::vector<std::string> parts{"kernel faulty<", "block (", TypeParam::says};
  if (TypeParam::line > 0) parts.push_back("faults_test.cu:" + std::to_string(TypeParam::line));
  for (uint32_t schedule = 0; schedule < 4; ++schedule) {
    simt::fix_schedule(schedule);
    expect_error(Exit::failure, parts, run_faulty<TypeParam>);
  }
  simt::rotate_schedules();
}

struct None : Common {
  static void run(Arrays a, Shared s, int i) { a.out[i] = s[i]; }
};

TEST(FaultsTest, NoneIsFoundWhereThereIsNone) {
  for (int repeat = 0; repeat < 4; ++repeat) EXPECT_NO_THROW(run_faulty<None>());
}

}  // namespace
}  // namespace hinoki
#endif
