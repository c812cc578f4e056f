// Attention on the CUDA device, in f32 and bf16: every path of the kernels against the formulas, each number within a
// bound made of the magnitudes that were added up behind it.
#include <cmath>

#include "tests/support/attention_problem.h"
#include "tests/support/expect_error.h"

namespace hinoki::attention_cuda_test {
namespace {

using test::AttentionProblem, test::AttentionResults, test::expect_on_cuda, test::Layout, test::Values, test::operator+;
using Case = test::AttentionCase;

// What arithmetic may do to one head. A score, a sum of dim products, is off by dim roundings of their magnitudes; a
// probability by that much relatively, a sum over time by one rounding a term more. The first order of everything, with
// a few units for exp and log.
struct HeadBounds {
  ReferenceHead exact;
  Values out, lse, dq, dk, dv;

  template <class T>
  static HeadBounds of(const AttentionProblem<T>& problem, int64_t batch, int64_t head) {
    return of<T>(problem.reference(batch, head));
  }
  template <class T>
  static HeadBounds of(ReferenceHead exact) {
    HeadBounds b{.exact = std::move(exact), .out = {}, .lse = {}, .dq = {}, .dk = {}, .dv = {}};
    b.fill(std::is_same_v<T, bf16> ? 0x1p-8 : 0x1p-24);
    return b;
  }

 private:
  static double magnitude(const Values& a, int64_t i, const Values& b, int64_t j, int64_t dim) {
    double sum = 0;
    for (int64_t d = 0; d < dim; ++d) sum += std::abs(a[i * dim + d] * b[j * dim + d]);
    return sum;
  }

  // stored: the rounding of what is kept in T, which p, ds and all results are.
  void fill(double stored) {
    const ReferenceHead& r = exact;
    const int64_t time = r.kv_time, dim = r.dim;
    constexpr double kUnit = 0x1p-24;
    const auto start = [&](const Values& x) {
      Values bound(x.size());
      for (size_t i = 0; i < x.size(); ++i) bound[i] = 2 * stored * std::abs(x[i]) + 1e-30;
      return bound;
    };
    out = start(r.out), dq = start(r.dq), dk = start(r.dk), dv = start(r.dv);
    for (int64_t i = 0; i < r.q_time; ++i) {
      double largest = 0;
      for (int64_t j = 0; j < time; ++j)
        if (r.visible(i, j)) largest = std::max(largest, r.scale * magnitude(r.q, i, r.k, j, dim));
      const double of_p = 2 * kUnit * (double(dim + 16) * (1 + 2 * largest) + double(time));
      lse.push_back(of_p + kUnit * std::abs(r.lse[i]));
      for (int64_t j = 0; j < time; ++j)
        for (int64_t d = 0; d < dim; ++d) {
          const double kept = r.p[i * time + j] * r.factor(i, j) * (of_p + stored);
          out[i * dim + d] += kept * std::abs(r.v[j * dim + d]);
          dv[j * dim + d] += kept * std::abs(r.dout[i * dim + d]);
        }
      double of_delta = double(dim) * kUnit * magnitude(r.dout, i, r.out, i, dim);
      for (int64_t d = 0; d < dim; ++d) of_delta += std::abs(r.dout[i * dim + d]) * out[i * dim + d];
      const double delta = r.dot(r.dout, i, r.out, i);
      for (int64_t j = 0; j < time; ++j) {
        const double p = r.p[i * time + j], factor = r.factor(i, j);
        const double difference = factor * r.dot(r.dout, i, r.v, j) - delta;
        const double of_dp = factor * double(dim) * kUnit * magnitude(r.dout, i, r.v, j, dim);
        const double of_ds = r.scale * p * (of_dp + of_delta + std::abs(difference) * (of_p + stored));
        for (int64_t d = 0; d < dim; ++d) {
          dq[i * dim + d] += of_ds * std::abs(r.k[j * dim + d]);
          dk[j * dim + d] += of_ds * std::abs(r.q[i * dim + d]);
        }
      }
    }
  }
};

// out, lse and dqkv of all heads in the order of the kernels' arrays, and their bounds.
template <class T>
struct Expected {
  AttentionResults value, bound;

  explicit Expected(const AttentionProblem<T>& problem) {
    const Case& c = problem.c;
    for (AttentionResults* r : {&value, &bound}) {
      r->out.resize(c.batch * c.time * problem.width), r->lse.resize(c.batch * c.heads * c.time);
      r->dqkv.resize(c.batch * c.time * 3 * problem.width);
    }
    for (int64_t b = 0; b < c.batch; ++b)
      for (int64_t h = 0; h < c.heads; ++h) {
        const HeadBounds head = HeadBounds::of(problem, b, h);
        place(problem, b, h, value, {&head.exact.dq, &head.exact.dk, &head.exact.dv}, head.exact.out, head.exact.lse);
        place(problem, b, h, bound, {&head.dq, &head.dk, &head.dv}, head.out, head.lse);
      }
  }

  static void place(const AttentionProblem<T>& problem, int64_t b, int64_t h, AttentionResults& to,
                    const std::array<const Values*, 3>& grads, const Values& out, const Values& lse) {
    const Case& c = problem.c;
    for (int64_t t = 0; t < c.time; ++t) {
      to.lse[(b * c.heads + h) * c.time + t] = lse[t];
      for (int64_t d = 0; d < c.dim; ++d) {
        to.out[(b * c.time + t) * problem.width + h * c.dim + d] = out[t * c.dim + d];
        for (int which = 0; which < 3; ++which)
          to.dqkv[(b * c.time + t) * 3 * problem.width + problem.offset(which) + h * problem.head_step() + d] =
              (*grads[which])[t * c.dim + d];
      }
    }
  }
};

Values all(const AttentionResults& r) { return r.out + r.lse + r.dqkv; }

template <class T>
void check_case(const Case& c) {
  if (!has_device(Device::cuda)) return;
  SCOPED_TRACE(say(c, ", ", dtype_of<T>()));
  const AttentionProblem<T> problem(c);
  const Expected<T> expected(problem);
  expect_on_cuda([&] { return all(problem.run()); }, all(expected.value), all(expected.bound));
}

// Sizes around tiles of 32, 64 and 128; head sizes that fill a tile's columns and that do not.
TEST(AttentionOnCuda, TensorCoresGiveTheFormulas) {
  for (const Case& c : {Case{1, 1, 64, 1},
                        {1, 2, 64, 63, Layout::blocks},
                        {2, 1, 64, 65, Layout::per_head, 3},
                        {1, 1, 64, 193, Layout::per_head, 2},
                        {1, 2, 80, 33, Layout::per_head},
                        {1, 1, 80, 130, Layout::blocks, 1, 0, 0.05},
                        {1, 1, 96, 97, Layout::blocks, 5},
                        {2, 1, 128, 31},
                        {1, 1, 128, 129, Layout::per_head, 2},
                        {1, 3, 8, 40, Layout::blocks, 40},
                        {1, 1, 48, 66},
                        {1, 1, 112, 34, Layout::blocks}})
    check_case<bf16>(c);
}

TEST(AttentionOnCuda, TensorCoresDropTheSameScoresAsTheFormulas) {
  for (const Case& c : {Case{1, 2, 64, 67, Layout::per_head, 1, 0.1},
                        {2, 1, 80, 35, Layout::blocks, 2, 0.5},
                        {1, 1, 96, 66, Layout::blocks, 1, 0.2},
                        {1, 1, 128, 130, Layout::per_head, 3, 0.3},
                        {1, 1, 16, 129, Layout::per_head, 1, 0.1}})
    check_case<bf16>(c);
}

TEST(AttentionOnCuda, OddSizesOfBf16GiveTheFormulas) {
  for (const Case& c : {Case{1, 2, 12, 34, Layout::blocks},
                        {1, 1, 33, 40, Layout::per_head, 3, 0.2},
                        {1, 1, 136, 33},
                        {1, 1, 256, 35, Layout::blocks, 2}})
    check_case<bf16>(c);
}

TEST(AttentionOnCuda, F32GivesTheFormulas) {
  for (const Case& c : {Case{1, 1, 16, 1},
                        {2, 1, 17, 13},
                        {1, 3, 24, 31, Layout::blocks, 3},
                        {1, 1, 64, 97, Layout::per_head, 4},
                        {1, 2, 80, 33, Layout::per_head, 1, 0, 0.05},
                        {1, 1, 128, 64, Layout::blocks, 1, 0.1},
                        {1, 1, 200, 34},
                        {1, 1, 256, 33, Layout::blocks, 2, 0.5}})
    check_case<float>(c);
}

// In both directions: rows whose last tile of columns is full, short by one and one over, and whose segments end
// within.
Case both_directions(Case c) {
  c.causal = false;
  return c;
}

TEST(AttentionOnCuda, TensorCoresSeeBothDirections) {
  for (const Case& c : {Case{1, 1, 64, 1},
                        {1, 1, 64, 64},
                        {2, 2, 64, 63, Layout::blocks, 2},
                        {1, 1, 64, 129, Layout::blocks, 3},
                        {1, 1, 64, 193, Layout::per_head, 2},
                        {1, 1, 80, 130, Layout::blocks, 1, 0, 0.05},
                        {1, 1, 96, 97, Layout::blocks, 5},
                        {1, 1, 128, 129, Layout::per_head, 2},
                        {2, 1, 128, 48},
                        {1, 3, 8, 40, Layout::blocks, 40},
                        {1, 2, 64, 67, Layout::blocks, 2, 0.1},
                        {1, 1, 128, 130, Layout::per_head, 3, 0.3}})
    check_case<bf16>(both_directions(c));
}

TEST(AttentionOnCuda, PlainKernelsSeeBothDirections) {
  for (const Case& c : {Case{1, 1, 16, 1}, {2, 1, 17, 13}, {1, 2, 24, 32, Layout::blocks}, {1, 1, 64, 97, {}, 4}})
    check_case<float>(both_directions(c));
  for (const Case& c : {Case{1, 2, 80, 33, Layout::blocks, 2}, {1, 1, 128, 64, {}, 3, 0.1}, {1, 1, 200, 34}})
    check_case<float>(both_directions(c));
  for (const Case& c : {Case{1, 2, 12, 34, Layout::blocks}, {1, 1, 33, 40, Layout::per_head, 3, 0.2}})
    check_case<bf16>(both_directions(c));
}

// Decoding with a cache: several rows at once give the bits of the full pass; one row, whose keys are cut into parts,
// agrees within the bounds.
template <class T>
void check_cached(const Case& c, const std::vector<std::pair<int64_t, int64_t>>& times_and_rows) {
  if (!has_device(Device::cuda)) return;
  SCOPED_TRACE(say(c, ", ", dtype_of<T>()));
  const AttentionProblem<T> problem(c);
  const Expected<T> expected(problem);
  Values whole;
  if (times_and_rows.back().second > 1)
    expect_on_cuda([&] { return whole = problem.run().out; }, expected.value.out, expected.bound.out);
  for (const auto& [time, rows] : times_and_rows) {
    SCOPED_TRACE(say(rows, " rows up to ", time));
    const auto some = [&, time = time, rows = rows](const AttentionResults& r) {
      Values v;
      for (int64_t b = 0; b < c.batch; ++b) {
        const auto first = r.out.begin() + (b * c.time + time - rows) * problem.width;
        v.insert(v.end(), first, first + rows * problem.width);
      }
      for (int64_t head = 0; head < c.batch * c.heads; ++head)
        for (int64_t t = time - rows; t < time; ++t) v.push_back(r.lse[head * c.time + t]);
      return v;
    };
    const Values want = rows > 1 ? some({.out = whole, .lse = expected.value.lse, .dqkv = {}}) : some(expected.value);
    Values bound = some(expected.bound);
    if (rows > 1) std::fill(bound.begin(), bound.end() - c.batch * c.heads * rows, 0);
    expect_on_cuda([&, time = time, rows = rows] { return problem.run_cached(time, rows); }, want, bound);
  }
}

TEST(AttentionOnCuda, CacheGivesTheBitsOfTheWholePass) {
  const std::vector<std::pair<int64_t, int64_t>> pieces{{2, 2}, {66, 3}, {128, 64}, {131, 129}};
  check_cached<bf16>({2, 1, 64, 131}, pieces);
  check_cached<bf16>({1, 1, 128, 131, Layout::blocks}, pieces);
  check_cached<float>({1, 2, 24, 131, Layout::blocks}, pieces);
}

TEST(AttentionOnCuda, OneQueryReadsTheCache) {
  const std::vector<std::pair<int64_t, int64_t>> ones{{1, 1}, {2, 1}, {65, 1}, {256, 1}, {257, 1}, {530, 1}};
  check_cached<bf16>({2, 2, 64, 530}, ones);
  check_cached<bf16>({1, 1, 80, 530}, ones);
  check_cached<bf16>({1, 1, 136, 257}, {{257, 1}});
  check_cached<float>({1, 2, 24, 530}, ones);
  check_cached<float>({1, 1, 64, 257}, {{257, 1}});
  check_cached<float>({1, 1, 128, 257}, {{257, 1}});
  check_cached<float>({1, 1, 18, 257}, {{257, 1}});  // rows that 16-byte loads cannot read
}

// Rows whose sequences end at the first key, at both sides of a part of 256 keys and in the third part, in lines of the
// cache in another order, with NaN wherever nothing has been written yet.
TEST(AttentionOnCuda, RowsOfACacheHaveTheirOwnLengths) {
  if (!has_device(Device::cuda)) return;
  const std::vector<int32_t> lines{3, 0, 5, 2}, lengths{0, 255, 256, 600};
  for (const int64_t dim : {64, 80, 96, 128}) {
    SCOPED_TRACE(dim);
    const AttentionProblem<bf16> problem({4, 2, dim, 601});
    Values out, lse, out_bound, lse_bound;
    for (int64_t b = 0; b < 4; ++b)
      for (int64_t h = 0; h < 2; ++h) {
        const int64_t place = lengths[size_t(b)];
        const HeadBounds one = HeadBounds::of<bf16>(problem.reference(b, h, place, place + 1));
        out = out + one.exact.out, out_bound = out_bound + one.out;
        lse = lse + one.exact.lse, lse_bound = lse_bound + one.lse;
      }
    expect_on_cuda([&] { return problem.run_lines(lines, lengths); }, out + lse, out_bound + lse_bound);
  }
}

TEST(AttentionOnCuda, NanIsNotHidden) {
  if (!has_device(Device::cuda)) return;
  AttentionProblem<bf16> problem({1, 1, 64, 40});
  problem.qkv[20 * 192 + 3] = NAN;  // in q of row 20
  Values expected = AttentionProblem<bf16>({1, 1, 64, 40}).reference(0, 0).out, bound(expected.size(), 0.1);
  std::fill_n(expected.begin() + 20 * 64, 64, NAN);
  expect_on_cuda([&] { return problem.run().out; }, expected, bound);
}

TEST(AttentionOnCuda, LargeScoresStayFinite) {
  if (!has_device(Device::cuda)) return;
  AttentionProblem<bf16> problem({1, 1, 64, 70});
  for (double& x : problem.qkv) x *= 128;
  expect_on_cuda(
      [&] {
        Values finite;
        for (const double x : all(problem.run())) finite.push_back(std::isfinite(x));
        return finite;
      },
      Values(70 * 64 * 4 + 70, 1), 0);
}

TEST(AttentionOnCuda, SaysWhatDoesNotFit) {
  if (!has_device(Device::cuda)) return;
  const auto run = [](const kernels::AttentionShape& shape, int64_t row_stride = 64) {
    kernels::attention.run(Device::cuda, {},
                           {.shape = shape,
                            .q = {.data = nullptr, .batch_stride = 0, .row_stride = row_stride, .head_stride = 0},
                            .k = {},
                            .v = {},
                            .out = {}});
  };
  const kernels::AttentionShape good{.batch = 1, .heads = 1, .dim = 64, .q_time = 2, .kv_time = 2, .scale = 1};
  kernels::AttentionShape bad = good;
  bad.dtype = DType::f64;
  EXPECT_ERROR(run(bad), Exit::failure, "attention: on CUDA dtype is f32 or bf16, not f64");
  bad = good, bad.dim = 257;
  EXPECT_ERROR(run(bad), Exit::failure, "attention: on CUDA a head has 1 to 256 elements, not 257");
  bad = good, bad.scale = 0;
  EXPECT_ERROR(run(bad), Exit::failure, "attention: scale 0 is not positive");
  bad = good, bad.q_time = 3;
  EXPECT_ERROR(run(bad), Exit::failure, "attention: 3 queries but only 2 keys");
  bad = good, bad.dropout = 1;
  EXPECT_ERROR(run(bad), Exit::failure, "attention: dropout 1 is not in [0, 1)");
  bad = good, bad.batch = int64_t{1} << 30, bad.heads = 16;
  EXPECT_ERROR(run(bad), Exit::failure, "blocks are more than a grid holds");
  EXPECT_ERROR(run(good, int64_t{1} << 31), Exit::failure, "attention: rows 2147483648 elements apart");
  const int32_t any = 0;
  kernels::Attention of_cache{.shape = good, .q = {}, .k = {}, .v = {}, .out = {}, .lengths = &any};
  of_cache.shape.q_time = 1, of_cache.shape.segments = &any;
  EXPECT_ERROR(kernels::attention.run(Device::cuda, {}, of_cache), Exit::failure,
               "attention: on CUDA rows of a cache with lengths have no segments");
  kernels::AttentionGrad grad{
      .shape = good, .q = {}, .k = {}, .v = {}, .out = {}, .dout = {}, .lse = nullptr, .dq = {}, .dk = {}, .dv = {}};
  grad.shape.q_time = 1;
  EXPECT_ERROR(kernels::attention_grad.run(Device::cuda, {}, grad), Exit::failure,
               "attention_grad: 1 queries, 2 keys: must be equal");
}

}  // namespace
}  // namespace hinoki::attention_cuda_test
