#include "kernels/nearest.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/base/isa.h"
#include "tests/support/expect_error.h"
#include "tests/support/kernel_check.h"

namespace hinoki::kernels::nearest_test {
namespace {

using namespace hinoki::test;

struct Case {
  int64_t rows, count, size;
  Values x = uniform_values(rows * size, -1, 1, 1), centres = uniform_values(count * size, -1, 1, 2);

  double distance(int64_t i, int64_t j) const {
    double sum = 0;
    for (int64_t p = 0; p < size; ++p) sum += std::pow(x[i * size + p] - centres[j * size + p], 2);
    return sum;
  }
  // What rounding may do to |x|^2 - 2 score: `size` steps on sums of magnitudes of at most 4 size.
  double bound() const { return 4 * double(size + 2) * double(size) * epsilon<float>(); }
};

// The distance to the centre that was chosen (in double), then the distances that the kernel gives.
Values run(const Case& c) {
  Operand<float> x(c.x), centres(c.centres), distances(c.rows);
  Operand<int32_t> labels(c.rows, -1);
  const Nearest k{.x = x.data(),
                  .centres = centres.data(),
                  .labels = labels.data(),
                  .distances = distances.data(),
                  .rows = c.rows,
                  .count = c.count,
                  .size = c.size};
  nearest.run(here(), {}, k);
  Values chosen, given = distances.values();
  const Values at = labels.values();
  for (int64_t i = 0; i < c.rows; ++i) {
    EXPECT_TRUE(at[i] >= 0 && at[i] < double(c.count)) << at[i];
    chosen.push_back(c.distance(i, int64_t(at[i])));
  }
  return chosen + given;
}

// The least distances, twice: what was chosen must be as near as rounding can tell.
Values expected(const Case& c) {
  Values least;
  for (int64_t i = 0; i < c.rows; ++i) {
    double d = INFINITY;
    for (int64_t j = 0; j < c.count; ++j) d = std::min(d, c.distance(i, j));
    least.push_back(d);
  }
  return least + least;
}

TEST(Nearest, FindsTheNearestCentre) {
  for (const int64_t rows : {0, 1, 63, 130, 600})
    for (const int64_t count : {1, 2, 15, 16, 17, 100, 504})
      for (const int64_t size : {1, 39, 64}) {
        const Case c{rows, count, size};
        expect_kernel([&] { return run(c); }, expected(c), c.bound());
      }
}

// Around the edges of a GPU's tiles: 128 rows, 64 centres, 16 columns.
TEST(Nearest, FindsTheNearestCentreInTiles) {
  for (const int64_t rows : {0, 1, 127, 128, 129})
    for (const int64_t count : {1, 63, 64, 65, 130})
      for (const int64_t size : {1, 16, 39}) {
        if (rows > 1 && count > 100 && size > 16) continue;  // an emulator's time
        const Case c{rows, count, size};
        expect_on_cuda([&] { return run(c); }, expected(c), c.bound());
      }
}

Values labels(const Values& x, const Values& centres, int64_t size) {
  Operand<float> in(x), among(centres);
  Operand<int32_t> out(int64_t(x.size()) / size, -1);
  nearest.run(here(), {},
              {.x = in.data(),
               .centres = among.data(),
               .labels = out.data(),
               .rows = out.size(),
               .count = int64_t(centres.size()) / size,
               .size = size});
  return out.values();
}

// Every centre stands there twice or more, at the distance of a lane, a vector, a thread's columns, a tile.
TEST(Nearest, PrefersTheLowestOfEquals) {
  for (const int64_t apart : {1, 3, 4, 8, 16, 17, 64, 70}) {
    constexpr int64_t size = 5;
    Values centres;
    for (int copy = 0; copy < 3; ++copy) centres = centres + uniform_values(apart * size, -1, 1, 3);
    const Values x(centres.begin(), centres.begin() + apart * size);
    Values own;
    for (int64_t i = 0; i < apart; ++i) own.push_back(double(i));
    expect_everywhere([&] { return labels(x, centres, size); }, own, 0.0);
  }
}

// Of centres that all but touch, rounding decides. The portable target has no fused multiply-add and rounds otherwise:
// there the centres lie apart.
TEST(Nearest, GivesTheSameLabelsOnCuda) {
  const double apart = active_target() == Target::portable ? 1 : 1e-7;
  constexpr int64_t size = 39, count = 90;
  Values centres = uniform_values(count * size, -1, 1, 6);
  for (int64_t i = size; i < count * size; ++i) centres[i] = double(float(centres[i % size] + apart * centres[i]));
  const Values x = uniform_values(200 * size, -1, 1, 7), on_cpu = labels(x, centres, size);
  expect_on_cuda([&] { return labels(x, centres, size); }, on_cpu, 0.0);
}

TEST(Nearest, GivesLabelZeroToWhatIsNotANumber) {
  Values x = uniform_values(4 * 3, -1, 1, 4);
  x[5] = NAN;
  const Values centres = uniform_values(20 * 3, -1, 1, 5);
  const auto second = [&] { return Values{labels(x, centres, 3)[1]}; };
  expect_everywhere(second, {0}, 0.0);
}

TEST(Nearest, RefusesToChooseAmongNone) {
  EXPECT_ERROR(nearest.run(Device::cpu, {},
                           {.x = nullptr, .centres = nullptr, .labels = nullptr, .rows = 1, .count = 0, .size = 1}),
               Exit::failure, "nearest: of 0 centres");
}

}  // namespace
}  // namespace hinoki::kernels::nearest_test
