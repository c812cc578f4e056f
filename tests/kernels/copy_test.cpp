#include "kernels/copy.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"
#include "tests/support/kernel_check.h"

namespace hinoki::kernels::copy_test {
namespace {

using namespace hinoki::test;

struct Case {
  Shape shape, x_strides, y_strides;
  int64_t x_size, y_size;
  int64_t skip = 0;  // elements before the first, in both arrays
};

const Case kCases[] = {
    {{}, {}, {}, 1, 1},
    {{0, 5}, {5, 1}, {5, 1}, 0, 0},
    {{5, 0}, {0, 1}, {0, 1}, 0, 0},
    {{4099}, {1}, {1}, 4099, 4099},
    {{31, 33}, {1, 31}, {33, 1}, 31 * 33, 31 * 33},                                         // a transpose
    {{1000, 32}, {40, 1}, {32, 1}, 40000, 32000},                                           // some columns
    {{2, 3, 4, 5, 6, 7}, {2520, 840, 210, 42, 7, 1}, {1, 2, 6, 24, 120, 720}, 5040, 5040},  // all axes reversed
    {{7, 3}, {0, 2}, {3, 1}, 6, 21},                                                        // one row repeated
    {{2, 33, 3, 16}, {1584, 48, 16, 1}, {1584, 16, 528, 1}, 3168, 3168},                    // heads before time
    {{2, 33, 3, 16}, {1584, 48, 16, 1}, {1584, 16, 528, 1}, 3169, 3169, 1},                 // the same, not aligned
    {{3, 70, 9}, {630, 9, 1}, {630, 1, 70}, 1890, 1890},                                    // transposes of a batch
    {{70, 2, 40}, {1, 2800, 70}, {80, 40, 1}, 5600, 5600},                                  // the first axis last
    {{40, 40}, {1, 80}, {80, 2}, 3200, 3200},                                               // neither in one piece
};

// Walks the indices one by one.
template <class E>
Values reference(const Case& c, const std::vector<E>& x) {
  Values y(c.y_size, 9);
  for (int64_t i = 0; i < c.shape.numel(); ++i) {
    int64_t rest = i, from = 0, to = 0;
    for (int a = c.shape.rank() - 1; a >= 0; --a) {
      from += rest % c.shape[a] * c.x_strides[a];
      to += rest % c.shape[a] * c.y_strides[a];
      rest /= c.shape[a];
    }
    y[to + c.skip] = double(x[from + c.skip]);
  }
  return y;
}

template <class E>
void check(const Case& c) {
  std::vector<E> x;
  for (int64_t i = 0; i < c.x_size; ++i) x.push_back(E(i * 7 + 1));
  expect_everywhere(
      [&] {
        Operand<E> from(x), y(c.y_size, E(9));
        copy.run(here(), {},
                 {.x = from.data() + c.skip,
                  .y = y.data() + c.skip,
                  .shape = c.shape,
                  .x_strides = c.x_strides,
                  .y_strides = c.y_strides,
                  .element = sizeof(E)});
        return y.values();
      },
      reference(c, x), 0);
}

TEST(Copy, MovesEveryElement) {
  for (const Case& c : kCases) {
    check<uint8_t>(c);
    check<uint16_t>(c);
    check<float>(c);
    check<double>(c);
  }
}

TEST(Copy, RefusesWhatItCannotCopy) {
  float v[3] = {};
  for (const Device d : {Device::cpu, Device::cuda})
    if (has_device(d))
      EXPECT_ERROR(copy.run(d, {}, {.x = v, .y = v, .shape = {1}, .x_strides = {1}, .y_strides = {1}, .element = 3}),
                   Exit::failure, "copy: elements of 3 bytes");
}

}  // namespace
}  // namespace hinoki::kernels::copy_test
