// Rows of a table by id, and a gradient that is the same on any number of threads.
#include "kernels/embedding.h"

#include "core/ops.h"

namespace hinoki {

DType activation_dtype(const Tensor& weights) {
  return weights.device() == Device::cpu ? wide(weights.dtype()) : weights.dtype();
}

Tensor embedding(const Tensor& ids, const Tensor& table, const Tensor& positions, int64_t first_position) {
  require(ids.dtype() == DType::i32 && ids.contiguous() && ids.rank() >= 1, "embedding: ids ", ids.dtype(), ids.shape(),
          " are not contiguous i32");
  require(table.rank() == 2 && table.contiguous(), "embedding: table ", table.shape(), " is not [vocabulary, width]");
  const int64_t rows = ids.numel(), cols = table.size(1), time = std::max<int64_t>(1, ids.size(-1));
  const bool placed = positions.defined();
  const int64_t count = placed ? positions.size(0) : 0;
  require(!placed || (positions.rank() == 2 && positions.size(1) == cols), "embedding: positions ", positions.shape(),
          ", table ", table.shape());
  require(!placed || first_position + time <= count, "embedding: position ", first_position + time - 1,
          " is past the last of ", count);
  const DType dtype = activation_dtype(table);
  require(!recording({table}) || table.dtype() == dtype, "embedding: a table stored as ", table.dtype(),
          " takes no part in training");

  Shape shape = ids.shape();
  shape.push_back(cols);
  const auto make = [=, ids = Saved(ids), table = Saved(table), positions = Saved(positions)] {
    const Tensor y = empty(shape, dtype, table->device());
    kernels::embedding.run(y.device(), y.stream(),
                           {.ids = static_cast<const int32_t*>(ids->data()),
                            .table = table->data(),
                            .positions = placed ? positions->data() : nullptr,
                            .y = y.data(),
                            .rows = rows,
                            .cols = cols,
                            .vocabulary = table->size(0),
                            .position_count = count,
                            .time = time,
                            .first_position = first_position,
                            .dtype = dtype,
                            .table_dtype = table->dtype(),
                            .positions_dtype = placed ? positions->dtype() : dtype});
    return y;
  };
  Tensor y = make();
  if (recording({table, positions})) y.set_remake(make);  // one pass over memory
  return differentiable(
      y, {table, positions},
      [ids = Saved(ids), to_table = Sink(table, wide(dtype)), to_positions = Sink(positions, wide(dtype)),
       vocabulary = table.size(0), count, rows, cols, time, first_position](const Tensor& dy) -> Grads {
        const auto add_up = [&](const Sink::Target& to, const int32_t* which, int64_t entries) {
          if (!to.tensor.defined()) return;
          kernels::embedding_grad.run(dy.device(), dy.stream(),
                                      {.dy = dy.data(),
                                       .ids = which,
                                       .dtable = to.data(),
                                       .accumulate = to.accumulate,
                                       .rows = rows,
                                       .cols = cols,
                                       .vocabulary = entries,
                                       .time = time,
                                       .first = first_position,
                                       .dtype = dy.dtype()});
        };
        const Sink::Target dtable = to_table.open(), dpositions = to_positions.open();
        add_up(dtable, static_cast<const int32_t*>(ids->data()), vocabulary);
        add_up(dpositions, nullptr, count);
        return {dtable, dpositions};
      });
}

}  // namespace hinoki
