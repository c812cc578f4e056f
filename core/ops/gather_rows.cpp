// Rows picked by index: the kernels of the embedding, with activations for a table.
#include "core/ops.h"
#include "kernels/embedding.h"

namespace hinoki {

Tensor gather_rows(const Tensor& x, const Tensor& rows) {
  require(x.rank() == 2 && x.contiguous(), "gather_rows: x ", x.shape(), " is not [rows, width]");
  require(rows.dtype() == DType::i32 && rows.rank() == 1 && rows.contiguous(), "gather_rows: rows ", rows.dtype(),
          rows.shape(), " are not i32 [count]");
  const int64_t count = rows.size(0), cols = x.size(1), from = x.size(0);
  const auto* places = static_cast<const int32_t*>(rows.data());
  for (int64_t i = 0; rows.device() == Device::cpu && i < count; ++i)
    require(0 <= places[i] && places[i] < from, "gather_rows: row ", places[i], " at place ", i, " is not one of ",
            from);
  const Tensor y = empty({count, cols}, x.dtype(), x.device());
  kernels::embedding.run(y.device(), y.stream(),
                         {.ids = places,
                          .table = x.data(),
                          .y = y.data(),
                          .rows = count,
                          .cols = cols,
                          .vocabulary = from,
                          .dtype = x.dtype()});
  return differentiable(y, {x}, [rows = Saved(rows), count, cols, from](const Tensor& dy) -> Grads {
    require(dy.contiguous(), "gather_rows: gradient of shape ", dy.shape(), " is not contiguous");
    const Tensor sums = empty({from, cols}, wide(dy.dtype()), dy.device());
    if (from > 0)
      kernels::embedding_grad.run(dy.device(), dy.stream(),
                                  {.dy = dy.data(),
                                   .ids = static_cast<const int32_t*>(rows->data()),
                                   .dtable = sums.data(),
                                   .rows = count,
                                   .cols = cols,
                                   .vocabulary = from,
                                   .dtype = dy.dtype()});
    return {cast(sums, dy.dtype())};
  });
}

}  // namespace hinoki
