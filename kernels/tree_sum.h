// Sums of arrays by a balanced tree, (x0 + x1) + (x2 + x3): the same bits, however the arrays are spread over ranks.
#pragma once
#include "kernels/kernel.h"

namespace hinoki::kernels {

struct TreeSum {
  static constexpr int kMostTerms = 8;
  const void* x[kMostTerms];  // the first `terms` of them
  int terms;                  // 1, 2, 4 or 8
  void* y;                    // overwritten; may be one of x
  int64_t count;
  DType dtype;
};

inline Kernel<TreeSum> tree_sum{"tree_sum"};

// Calls body<terms>() with the number of terms as a constant.
template <class Body>
void visit_terms(int terms, Body&& body) {
  switch (terms) {
    case 1:
      return body.template operator()<1>();
    case 2:
      return body.template operator()<2>();
    case 4:
      return body.template operator()<4>();
    case 8:
      return body.template operator()<8>();
  }
  fail("tree_sum: ", terms, " terms are not 1, 2, 4 or 8");
}

}  // namespace hinoki::kernels
