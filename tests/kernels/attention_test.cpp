#include "kernels/attention.h"

#include <random>

#include "core/base/parallel.h"
#include "tests/support/each_target.h"
#include "tests/support/guarded.h"
#include "tests/support/reference_attention.h"

namespace hinoki {
namespace {

enum class Layout { per_head, blocks };

struct Case {
  int64_t batch, heads, dim, time;
  Layout layout = Layout::per_head;
  int64_t documents = 1;  // segments in each row
  double dropout = 0;
  double scale = 0;
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.batch << " x " << c.heads << " heads of " << c.dim << ", time " << c.time << ", documents "
             << c.documents << ", dropout " << c.dropout;
}

template <class T>
struct Results {
  std::vector<T> out, lse, dqkv;
};

// A packed projection [batch, time, 3 * heads * dim] and what attention makes of it.
template <class T>
class Problem {
 public:
  explicit Problem(const Case& what)
      : c(what),
        width(c.heads * c.dim),
        qkv(random(c.batch * c.time * 3 * width, 1)),
        dout(random(c.batch * c.time * width, 2)) {
    for (int64_t b = 0; b < c.batch; ++b)
      for (int64_t t = 0; t < c.time; ++t)  // borders differ from row to row
        segments.push_back(int32_t(std::min(c.documents - 1, (t + b) * c.documents / std::max<int64_t>(1, c.time))));
  }

  kernels::AttentionShape shape() const {
    return {.batch = c.batch,
            .heads = c.heads,
            .dim = c.dim,
            .q_time = c.time,
            .kv_time = c.time,
            .scale = c.scale > 0 ? c.scale : 1 / std::sqrt(double(c.dim)),
            .segments = c.documents > 1 ? segments.data() : nullptr,
            .dropout = c.dropout,
            .key = {.seed = 7, .site = 3},
            .first_row = 5};
  }
  int64_t offset(int part) const { return part * (c.layout == Layout::per_head ? c.dim : width); }
  template <class Rows, class P>
  Rows part(P* base, int which) const {
    return {base + offset(which), c.time * 3 * width, 3 * width, c.layout == Layout::per_head ? 3 * c.dim : c.dim};
  }
  template <class Rows, class P>
  Rows dense(P* base) const {
    return {base, c.time * width, width, c.dim};
  }

  Results<T> run() const {
    Guarded<T> out(c.batch * c.time * width), lse(c.batch * c.heads * c.time), dqkv(c.batch * c.time * 3 * width);
    using kernels::HeadRows, kernels::MutableHeadRows;
    kernels::AttentionShape s = shape();
    s.dtype = dtype_of<T>();
    const auto q = part<HeadRows>(qkv.data(), 0), k = part<HeadRows>(qkv.data(), 1), v = part<HeadRows>(qkv.data(), 2);
    kernels::attention.run(
        Device::cpu, {},
        {.shape = s, .q = q, .k = k, .v = v, .out = dense<MutableHeadRows>(out.data()), .lse = lse.data()});
    kernels::attention_grad.run(Device::cpu, {},
                                {.shape = s,
                                 .q = q,
                                 .k = k,
                                 .v = v,
                                 .out = dense<HeadRows>(out.data()),
                                 .dout = dense<HeadRows>(dout.data()),
                                 .lse = lse.data(),
                                 .dq = part<MutableHeadRows>(dqkv.data(), 0),
                                 .dk = part<MutableHeadRows>(dqkv.data(), 1),
                                 .dv = part<MutableHeadRows>(dqkv.data(), 2)});
    EXPECT_TRUE(out.intact());
    EXPECT_TRUE(lse.intact());
    EXPECT_TRUE(dqkv.intact());
    return {out.values(), lse.values(), dqkv.values()};
  }

  // Rows [time - rows, time) alone, with keys and values as a cache holds them: [batch, capacity, heads, dim].
  std::vector<T> run_cached(int64_t time, int64_t rows) const {
    const int64_t capacity = c.time + 3;
    std::vector<T> keys(c.batch * capacity * width, T(NAN)), values = keys;
    for (int64_t b = 0; b < c.batch; ++b)
      for (int64_t t = 0; t < time; ++t)
        for (int64_t e = 0; e < width; ++e) {
          keys[(b * capacity + t) * width + e] = element(b, e / c.dim, t, 1, e % c.dim);
          values[(b * capacity + t) * width + e] = element(b, e / c.dim, t, 2, e % c.dim);
        }
    Guarded<T> out(c.batch * rows * width);
    kernels::AttentionShape s = shape();
    s.q_time = rows, s.kv_time = time, s.dtype = dtype_of<T>();
    auto q = part<kernels::HeadRows>(qkv.data() + (time - rows) * 3 * width, 0);
    kernels::attention.run(Device::cpu, {},
                           {.shape = s,
                            .q = q,
                            .k = {keys.data(), capacity * width, width, c.dim},
                            .v = {values.data(), capacity * width, width, c.dim},
                            .out = {out.data(), rows * width, width, c.dim}});
    EXPECT_TRUE(out.intact());
    return out.values();
  }

  T element(int64_t b, int64_t h, int64_t t, int which, int64_t d) const {
    return qkv[(b * c.time + t) * 3 * width + offset(which) + h * (c.layout == Layout::per_head ? 3 : 1) * c.dim + d];
  }

  ReferenceHead reference(int64_t b, int64_t h) const {
    const kernels::AttentionShape s = shape();
    ReferenceHead r{.q_time = c.time, .kv_time = c.time, .dim = c.dim, .scale = s.scale};
    for (int64_t t = 0; t < c.time; ++t)
      for (int64_t d = 0; d < c.dim; ++d) {
        r.q.push_back(element(b, h, t, 0, d));
        r.k.push_back(element(b, h, t, 1, d));
        r.v.push_back(element(b, h, t, 2, d));
        r.dout.push_back(dout[(b * c.time + t) * width + h * c.dim + d]);
      }
    r.segments.assign(segments.begin() + b * c.time, segments.begin() + (b + 1) * c.time);
    if (c.dropout > 0)
      for (int64_t i = 0; i < c.time; ++i)
        for (int64_t j = 0; j < c.time; ++j) {
          const int64_t row = ((s.first_row + b) * c.heads + h) * c.time + i;
          const Random4 bits = philox(s.key, row * ((c.time + 3) / 4) + j / 4);
          r.factors.push_back(bits[j % 4] >= uint32_t(c.dropout * 0x1p32) ? 1 / (1 - c.dropout) : 0);
        }
    r.forward();
    r.backward();
    return r;
  }

  static std::vector<T> random(int64_t count, uint32_t seed) {
    std::mt19937 engine(seed);
    std::normal_distribution<double> normal;
    std::vector<T> v(count);
    for (T& x : v) x = T(normal(engine));
    return v;
  }

  Case c;
  int64_t width;
  std::vector<T> qkv, dout;
  std::vector<int32_t> segments;
};

double norm(const std::vector<double>& v) {
  double sum = 0;
  for (const double x : v) sum += x * x;
  return std::sqrt(sum);
}

// Scores are sums of dim products of size about |q| |k| <= 4 dim here, scaled: their error is a few sqrt(dim) epsilon,
// and so is the relative error of a probability. Sums over time then add time epsilon of their magnitude. The bound
// below is on the norm of the whole error against the norm of the whole result, with a factor for the products behind
// each term.
template <class T>
double tolerance(const Case& c) {
  return std::numeric_limits<T>::epsilon() * (8 * std::sqrt(double(c.dim)) + 2 * std::sqrt(double(c.time)) + 16);
}

template <class T>
void check_case(const Case& c) {
  SCOPED_TRACE(say(c, ", ", dtype_of<T>()));
  const Problem<T> problem(c);
  const Results<T> got = problem.run();
  for (int64_t b = 0; b < c.batch; ++b)
    for (int64_t h = 0; h < c.heads; ++h) {
      const ReferenceHead want = problem.reference(b, h);
      std::vector<double> out, lse, grads[3];
      for (int64_t t = 0; t < c.time; ++t) {
        lse.push_back(got.lse[(b * c.heads + h) * c.time + t] - want.lse[t]);
        for (int64_t d = 0; d < c.dim; ++d) {
          out.push_back(got.out[(b * c.time + t) * problem.width + h * c.dim + d] - want.out[t * c.dim + d]);
          for (int which = 0; which < 3; ++which) {
            const int64_t step = (c.layout == Layout::per_head ? 3 : 1) * c.dim;
            const int64_t at = (b * c.time + t) * 3 * problem.width + problem.offset(which) + h * step + d;
            const auto& dw = which == 0 ? want.dq : which == 1 ? want.dk : want.dv;
            grads[which].push_back(got.dqkv[at] - dw[t * c.dim + d]);
          }
        }
      }
      const double limit = tolerance<T>(c);
      EXPECT_LE(norm(lse), limit * (norm(want.lse) + 1)) << "lse";
      EXPECT_LE(norm(out), limit * norm(want.out)) << "out";
      // With one key per query the true dq and dk are zero; what is left is the rounding of dp - delta.
      const double scale_of_ds = norm(want.dv) * std::sqrt(double(c.dim));
      EXPECT_LE(norm(grads[0]), limit * (norm(want.dq) + scale_of_ds)) << "dq";
      EXPECT_LE(norm(grads[1]), limit * (norm(want.dk) + scale_of_ds)) << "dk";
      EXPECT_LE(norm(grads[2]), limit * norm(want.dv)) << "dv";
    }
}

class AttentionOn : public EachTarget {};
INSTANTIATE_TEST_SUITE_P(All, AttentionOn, testing::ValuesIn(targets_here()), target_name);

TEST_P(AttentionOn, IsItsFormulas) {
  const Case cases[] = {{1, 1, 16, 1},
                        {1, 2, 16, 2, Layout::blocks},
                        {2, 1, 17, 13},
                        {1, 3, 24, 31, Layout::blocks, 3},
                        {2, 2, 32, 32},
                        {1, 2, 33, 33, Layout::blocks},
                        {1, 1, 64, 127},
                        {1, 1, 64, 128, Layout::blocks, 5},
                        {1, 2, 64, 129, Layout::per_head, 2},
                        {2, 1, 80, 257, Layout::per_head, 7, 0, 0.05},
                        {1, 1, 256, 300},
                        {1, 1, 8, 400, Layout::blocks, 400},
                        {2, 2, 20, 140, Layout::per_head, 1, 0.1},
                        {1, 2, 16, 131, Layout::blocks, 3, 0.5}};
  for (const Case& c : cases) {
    check_case<float>(c);
    check_case<double>(c);
  }
}

TEST_P(AttentionOn, BitsDoNotDependOnThreads) {
  for (const Case& c : {Case{1, 2, 40, 600}, {2, 3, 16, 150, Layout::blocks, 3, 0.1}}) {
    const Problem<float> problem(c);
    const Results<float> first = problem.run();
    for (const int threads : {1, 2, 3, 7}) {
      ThreadPool pool(threads);
      const UsePool use(pool);
      const Results<float> again = problem.run();
      EXPECT_TRUE(same_bits(first.out, again.out)) << threads << " threads";
      EXPECT_TRUE(same_bits(first.lse, again.lse)) << threads << " threads";
      EXPECT_TRUE(same_bits(first.dqkv, again.dqkv)) << threads << " threads";
    }
  }
}

// One token at a time and in pieces, with a cache: the bits of the full pass.
TEST_P(AttentionOn, BitsDoNotDependOnRows) {
  for (const Case& c : {Case{2, 2, 24, 300}, {1, 1, 64, 290, Layout::blocks}}) {
    const Problem<float> problem(c);
    const std::vector<float> whole = problem.run().out;
    for (const auto& [time, rows] : {std::pair<int64_t, int64_t>{1, 1},
                                     {2, 1},
                                     {14, 3},
                                     {100, 100},
                                     {128, 1},
                                     {129, 1},
                                     {129, 2},
                                     {200, 60},
                                     {255, 17},
                                     {257, 1},
                                     {290, 129}}) {
      const std::vector<float> some = problem.run_cached(time, rows);
      for (int64_t b = 0; b < c.batch; ++b)
        EXPECT_EQ(0, std::memcmp(&some[b * rows * problem.width], &whole[(b * c.time + time - rows) * problem.width],
                                 rows * problem.width * sizeof(float)))
            << rows << " rows up to " << time;
    }
  }
}

// Documents in one row give the bits... of their own pass only up to where blocks of keys begin; their values must
// agree.
TEST(AttentionKernel, DocumentsDoNotSeeEachOther) {
  const Problem<double> both({1, 1, 16, 200, Layout::blocks, 2});
  const std::vector<double> together = both.run().out;
  Problem<double> changed({1, 1, 16, 200, Layout::blocks, 2});
  for (int64_t t = 0; t < 100; ++t)
    for (int64_t e = 0; e < 48; ++e) changed.qkv[t * 48 + e] = 1e3;
  const std::vector<double> after = changed.run().out;
  EXPECT_EQ(0, std::memcmp(&together[100 * 16], &after[100 * 16], 100 * 16 * sizeof(double)));
  EXPECT_NE(0, std::memcmp(&together[0], &after[0], 100 * 16 * sizeof(double)));
}

// Large scores: no overflow, and the largest one takes all.
TEST(AttentionKernel, LargeScores) {
  Problem<float> problem({1, 1, 16, 150});
  for (float& x : problem.qkv) x *= 100;
  const Results<float> got = problem.run();
  for (const float x : got.out) ASSERT_TRUE(std::isfinite(x));
  for (const float x : got.dqkv) ASSERT_TRUE(std::isfinite(x));
}

TEST(AttentionKernel, NanIsNotHidden) {
  Problem<float> problem({1, 1, 16, 40});
  problem.qkv[20 * 48 + 3] = NAN;  // in q of row 20
  const std::vector<float> out = problem.run().out;
  EXPECT_TRUE(std::isnan(out[20 * 16]));
  EXPECT_FALSE(std::isnan(out[19 * 16]));
  EXPECT_FALSE(std::isnan(out[21 * 16]));
}

TEST(AttentionKernel, SaysWhatDoesNotFit) {
  kernels::Attention call{.shape = {.batch = 1, .heads = 1, .dim = 16, .q_time = 3, .kv_time = 2, .scale = 1},
                          .q = {},
                          .k = {},
                          .v = {},
                          .out = {}};
  EXPECT_THROW(kernels::attention.run(Device::cpu, {}, call), Error);
  call.shape.kv_time = 3, call.shape.scale = 0;
  EXPECT_THROW(kernels::attention.run(Device::cpu, {}, call), Error);
  call.shape.scale = 1, call.shape.dropout = 1;
  EXPECT_THROW(kernels::attention.run(Device::cpu, {}, call), Error);
}

}  // namespace
}  // namespace hinoki
