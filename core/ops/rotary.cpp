// Rotary positions, turned in place: forward on the projection's output, backward on its gradient.
#include "kernels/rotary.h"

#include "core/ops.h"
#include "core/reuse.h"

namespace hinoki {

RotaryTable rotary_table(int64_t positions, int64_t dims, double base, double scaling, DType dtype, Device device) {
  RotaryTable table{empty({positions, dims / 2}, dtype), empty({positions, dims / 2}, dtype), dims};
  kernels::rotary_table.run(Device::cpu, {},
                            {.cos = table.cos.data(),
                             .sin = table.sin.data(),
                             .positions = positions,
                             .rotary_dims = dims,
                             .base = base,
                             .scaling = scaling,
                             .dtype = dtype});
  return {to_device(table.cos, device), to_device(table.sin, device), dims};
}

Tensor rotary(Tensor qkv, const RotaryTable& table, int64_t heads, QkvLayout layout, int64_t first_position,
              const Tensor& positions) {
  require(qkv.rank() == 3 && qkv.contiguous() && qkv.size(2) % (3 * heads) == 0, "rotary: qkv ", qkv.shape(),
          " is not [batch, time, 3 * ", heads, " heads * dim]");
  const int64_t rows = qkv.size(0) * qkv.size(1), time = qkv.size(1), width = qkv.size(2), dim = width / (3 * heads);
  require(table.dims <= dim, "rotary: ", table.dims, " dimensions of a head of ", dim);
  require(!positions.defined() || positions.numel() == rows, "rotary: positions ", positions.shape(), " for qkv ",
          qkv.shape());
  require(table.cos.dtype() == wide(qkv.dtype()), "rotary: a table of ", table.cos.dtype(), " for qkv ", qkv.dtype());
  require(positions.defined() || first_position + time <= table.cos.size(0) || rows == 0, "rotary: position ",
          first_position + time - 1, " is past the table's ", table.cos.size(0));
  if (table.dims == 0) return qkv;
  const bool per_head = layout == QkvLayout::per_head;
  const auto turn = [=](const Tensor& x, bool inverse) {
    kernels::rotary.run(x.device(), x.stream(),
                        {.data = x.data(),
                         .rows = rows,
                         .heads = heads,
                         .row_stride = width,
                         .head_stride = per_head ? 3 * dim : dim,
                         .query_offset = 0,
                         .key_offset = per_head ? dim : heads * dim,
                         .rotary_dims = table.dims,
                         .cos = table.cos.data(),
                         .sin = table.sin.data(),
                         .table_rows = table.cos.size(0),
                         .positions = positions.defined() ? static_cast<const int32_t*>(positions.data()) : nullptr,
                         .time = time,
                         .offset = first_position,
                         .inverse = inverse,
                         .dtype = x.dtype()});
    x.storage()->touch();
  };
  turn(qkv, false);
  return differentiable(qkv.detach(), {qkv}, [turn](const Tensor& dy) -> Grads {
    const Tensor dx = reuse(dy);
    if (dx.data() != dy.data()) copy_elements(dy, dx);
    turn(dx, true);
    return {dx};
  });
}

}  // namespace hinoki
