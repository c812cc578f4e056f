// The product's bits are promised, so most of this compares bits: with a scalar chain, across threads, rows and
// targets.
#include "kernels/gemm.h"

#include <random>

#include "core/base/blas.h"
#include "core/base/half.h"
#include "core/base/parallel.h"
#include "tests/support/each_target.h"
#include "tests/support/guarded.h"
#include "tests/support/reference_gemm.h"

namespace hinoki::gemm_test {
namespace {

enum class Start { zero, bias, c };

struct Case {
  int64_t m, n, k;
  bool a_transposed, b_transposed;
  Start start = Start::zero;
  int64_t slack = 0;  // added to each leading dimension
};

template <class T>
std::vector<T> random_values(int64_t count, uint32_t seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<double> normal;
  std::vector<T> v(count);
  for (T& x : v) x = T(normal(engine));
  return v;
}

template <class T>
class Problem {
 public:
  explicit Problem(const Case& what)
      : c_(what),
        lda_((what.a_transposed ? what.m : what.k) + what.slack),
        ldb_((what.b_transposed ? what.k : what.n) + what.slack),
        ldc_(what.n + what.slack),
        a_(random_values<T>((what.a_transposed ? what.k : what.m) * lda_, 1)),
        b_(random_values<T>((what.b_transposed ? what.n : what.k) * ldb_, 2)),
        before_(random_values<T>(what.m * ldc_, 3)),
        bias_(random_values<T>(what.n, 4)) {}

  // All of C's memory, the slack included, after the product.
  std::vector<T> run(int64_t first_row = 0, int64_t rows = -1) {
    Guarded<T> out(before_);
    kernels::gemm.run(Device::cpu, {},
                      {.a = a_.data() + first_row * (c_.a_transposed ? 1 : lda_),
                       .b = b_.data(),
                       .c = out.data() + first_row * ldc_,
                       .m = rows < 0 ? c_.m : rows,
                       .n = c_.n,
                       .k = c_.k,
                       .lda = lda_,
                       .ldb = ldb_,
                       .ldc = ldc_,
                       .a_transposed = c_.a_transposed,
                       .b_transposed = c_.b_transposed,
                       .bias = c_.start == Start::bias ? bias_.data() : nullptr,
                       .accumulate = c_.start == Start::c,
                       .dtype = dtype_of<T>()});
    EXPECT_TRUE(out.intact());
    return out.values();
  }

  std::vector<T> chained() const {
    std::vector<T> out = before_;
    for (int64_t i = 0; i < c_.m; ++i)
      for (int64_t j = 0; j < c_.n; ++j) out[i * ldc_ + j] = chain(a(), b(), i, j, c_.k, start(i, j));
    return out;
  }

  void expect_close(const std::vector<T>& out) const {
    for (int64_t i = 0; i < c_.m; ++i)
      for (int64_t j = 0; j < c_.n; ++j) {
        const Bounded want = exact(a(), b(), i, j, c_.k, start(i, j));
        ASSERT_NEAR(out[i * ldc_ + j], want.value, want.error) << "at " << i << ", " << j;
      }
  }

 private:
  MatrixView<T> a() const { return {a_.data(), lda_, c_.a_transposed}; }
  MatrixView<T> b() const { return {b_.data(), ldb_, c_.b_transposed}; }
  T start(int64_t i, int64_t j) const {
    return c_.start == Start::zero ? T(0) : c_.start == Start::bias ? bias_[j] : before_[i * ldc_ + j];
  }

  Case c_;
  int64_t lda_, ldb_, ldc_;
  std::vector<T> a_, b_, before_, bias_;
};

// Every size around the edges of tiles, chunks and blocks, in all four storages and from all three starts.
std::vector<Case> cases() {
  constexpr int64_t sizes[][3] = {{1, 1, 1},      {1, 33, 17},   {2, 31, 32},  {5, 32, 33},   {6, 16, 15},
                                  {7, 64, 16},    {13, 47, 64},  {14, 32, 31}, {15, 65, 257}, {29, 100, 40},
                                  {33, 257, 31},  {100, 8, 8},   {3, 500, 96}, {8, 40, 800},  {16, 48, 770},
                                  {31, 33, 1601}, {257, 96, 65}, {12, 12, 0}};
  std::vector<Case> all;
  int turn = 0;
  for (const auto& [m, n, k] : sizes)
    for (const int storage : {0, 1, 2, 3})
      all.push_back({m, n, k, storage % 2 == 1, storage / 2 == 1, Start(turn % 3), turn++ % 5});
  return all;
}

class GemmOn : public EachTarget {};
INSTANTIATE_TEST_SUITE_P(All, GemmOn, testing::ValuesIn(targets_here()), target_name);

// The portable code has no fused multiply-add: it comes close, the others give the chain's bits.
template <class T>
void expect_chains(const Problem<T>& problem, const std::vector<T>& out) {
  if (active_target() == Target::portable)
    problem.expect_close(out);
  else
    EXPECT_TRUE(same_bits(out, problem.chained()));
}

template <class T>
void check_all_cases() {
  for (const Case& c : cases()) {
    SCOPED_TRACE(
        say(c.m, " x ", c.n, " x ", c.k, " a^T ", c.a_transposed, " b^T ", c.b_transposed, " start ", int(c.start)));
    Problem<T> problem(c);
    const std::vector<T> out = problem.run();
    expect_chains(problem, out);
    EXPECT_TRUE(same_bits(out, problem.run()));
  }
}

TEST_P(GemmOn, IsOneChainPerElement) {
  check_all_cases<float>();
  check_all_cases<double>();
}

TEST_P(GemmOn, BitsDoNotDependOnThreads) {
  for (const Case& c : {Case{300, 700, 200, false, true},
                        {130, 96, 900, true, false, Start::c},
                        {4, 3000, 70, false, true},
                        {500, 96, 3000, false, true},
                        {128, 1000, 130, false, true},  // turned on two threads, and not on seven
                        {128, 500, 1100, false, false}}) {
    Problem<float> problem(c);
    std::vector<std::vector<float>> results;
    for (const int threads : {1, 2, 3, 7}) {
      ThreadPool pool(threads);
      const UsePool use(pool);
      results.push_back(problem.run());
      EXPECT_TRUE(same_bits(results.front(), results.back())) << threads << " threads";
    }
  }
}

// Few rows with many columns, which one thread does as C^T = B^T A^T: in one pass over k, and in several.
TEST_P(GemmOn, IsOneChainPerElementWhereItIsTurned) {
  ThreadPool pool(1);
  const UsePool use(pool);
  for (const bool a_transposed : {false, true})
    for (const bool b_transposed : {false, true}) {
      const Case c{156, 393, 300, a_transposed, b_transposed, Start::zero, 3};
      SCOPED_TRACE(say("a^T ", c.a_transposed, " b^T ", c.b_transposed));
      Problem<float> floats(c), deep_floats({128, 163, 1100, a_transposed, b_transposed, Start::zero, 3});
      Problem<double> doubles(c), deep_doubles({128, 163, 600, a_transposed, b_transposed, Start::zero, 3});
      expect_chains(floats, floats.run());
      expect_chains(deep_floats, deep_floats.run());
      expect_chains(doubles, doubles.run());
      expect_chains(deep_doubles, deep_doubles.run());
    }
}

TEST_P(GemmOn, BitsDoNotDependOnRows) {
  for (const bool a_transposed : {false, true})
    for (const bool b_transposed : {false, true}) {
      const Case c{37, 70, 850, a_transposed, b_transposed, Start::bias};
      Problem<float> problem(c);
      const std::vector<float> whole = problem.run();
      for (int64_t i = 0; i < c.m; ++i) {
        const std::vector<float> one = problem.run(i, 1);
        EXPECT_EQ(0, std::memcmp(&one[i * c.n], &whole[i * c.n], c.n * sizeof(float))) << "row " << i;
      }
    }
}

// Larger than any block in every direction, so that each loop of the blocking turns more than once.
TEST_P(GemmOn, BlocksInEveryDirection) {
  Problem<float> tall({2070, 20, 900, true, false, Start::c});
  expect_chains(tall, tall.run());
  Problem<float> wide({9, 2100, 800, false, true, Start::bias});
  expect_chains(wide, wide.run());
  Problem<float> deep({2060, 9, 2100, false, false});
  const std::vector<float> out = deep.run();
  deep.expect_close(out);
}

// A 16-bit B gives the bits of the same values stored as f32. Few rows read it where it lies, more of them or rows that
// are not whole words go through a packed copy.
template <class Half>
void check_half(const std::vector<Half>& values, int64_t m, int64_t k, bool b_transposed, int64_t slack) {
  const int64_t n = 299, ldb = (b_transposed ? k : n + 1) + slack;
  SCOPED_TRACE(say(m, " x ", n, " x ", k, " b^T ", b_transposed, " ldb ", ldb, " ", dtype_of<Half>()));
  const std::vector<float> a = random_values<float>(m * k, 5), bias = random_values<float>(n, 7);
  const std::vector<Half> b(values.begin(), values.begin() + (b_transposed ? n : k) * ldb);
  std::vector<float> wide(b.size());
  for (size_t i = 0; i < b.size(); ++i) wide[i] = to_float(b[i]);
  Guarded<float> from_half(m * n), from_wide(m * n);
  kernels::Gemm g{.a = a.data(),
                  .b = b.data(),
                  .c = from_half.data(),
                  .m = m,
                  .n = n,
                  .k = k,
                  .lda = k,
                  .ldb = ldb,
                  .ldc = n,
                  .b_transposed = b_transposed,
                  .bias = bias.data(),
                  .b_dtype = dtype_of<Half>()};
  kernels::gemm.run(Device::cpu, {}, g);
  g.b = wide.data(), g.c = from_wide.data(), g.b_dtype = DType::f32;
  kernels::gemm.run(Device::cpu, {}, g);
  EXPECT_TRUE(from_half.intact());
  EXPECT_TRUE(same_bits(from_half.values(), from_wide.values()));
}

TEST_P(GemmOn, ReadsHalfWeightsAsStored) {
  const std::vector<float> values = random_values<float>(301 * 132, 6);
  std::vector<bf16> b;
  std::vector<f16> h;
  for (size_t i = 0; i < values.size(); ++i) {
    b.push_back(to_bf16(values[i]));
    h.push_back({uint16_t((i * 40503u) & 0xbbff)});  // every exponent but infinity, subnormals too
  }
  for (const int64_t m : {1, 2, 3, 5, 8, 9, 16, 17})
    for (const bool transposed : {false, true})
      for (const int64_t slack : {0, 1}) {
        check_half(b, m, 130, transposed, slack);
        check_half(h, m, 130, transposed, slack);
      }
}

TEST(Gemm, OpenBlasGivesTheSameUpToRounding) {
  set_gemm_library("openblas");
  for (const Case& c : {Case{33, 65, 100, false, true, Start::bias}, {40, 31, 77, true, false, Start::c}})
    Problem<float>(c).expect_close(Problem<float>(c).run());
  set_gemm_library("own");
}

TEST(Gemm, SaysWhatDoesNotFit) {
  float x[4] = {};
  kernels::Gemm g{.a = x, .b = x, .c = x, .m = 1, .n = 1, .k = 1, .lda = 1, .ldb = 1, .ldc = 1, .dtype = DType::i32};
  EXPECT_THROW(kernels::gemm.run(Device::cpu, {}, g), Error);
  g.dtype = DType::f64, g.b_dtype = DType::bf16;
  EXPECT_THROW(kernels::gemm.run(Device::cpu, {}, g), Error);
  g.dtype = g.b_dtype = DType::f32, g.bias = x, g.accumulate = true;
  EXPECT_THROW(kernels::gemm.run(Device::cpu, {}, g), Error);
  EXPECT_THROW(set_gemm_library("mkl"), Error);
}

}  // namespace
}  // namespace hinoki::gemm_test
