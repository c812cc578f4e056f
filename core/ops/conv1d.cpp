// One-dimensional convolution of channel-last rows.
#include "kernels/conv1d.h"

#include "core/ops.h"
#include "kernels/column_sum.h"

namespace hinoki {
namespace {

kernels::Conv1dShape shape_of(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv1dOptions& o) {
  require(x.rank() == 3 && weight.rank() == 3 && o.groups >= 1 && x.size(2) == weight.size(1) * o.groups &&
              weight.size(0) % o.groups == 0 && x.dtype() == weight.dtype(),
          "conv1d: weight ", weight.dtype(), weight.shape(), " [out, in / groups, kernel] in ", o.groups,
          " groups, x is ", x.dtype(), x.shape(), " [batch, time, in]");
  require(x.contiguous() && weight.contiguous(), "conv1d: x ", x.shape(), " and weight ", weight.shape(),
          " must be contiguous");
  require(!bias.defined() || (bias.shape() == Shape{weight.size(0)} && bias.dtype() == x.dtype()), "conv1d: bias is ",
          bias.defined() ? bias.shape() : Shape{}, ", weight ", weight.shape());
  require(o.stride >= 1 && o.pad_left >= 0 && o.pad_right >= 0, "conv1d: stride ", o.stride, ", pads ", o.pad_left,
          " and ", o.pad_right);
  const int64_t room = x.size(1) + o.pad_left + o.pad_right - weight.size(2);
  require(room >= 0 && weight.size(2) > 0, "conv1d: x ", x.shape(), " with pads of ", o.pad_left, " and ", o.pad_right,
          " is shorter than the kernel of weight ", weight.shape());
  return {.batch = x.size(0),
          .time = x.size(1),
          .in = x.size(2),
          .frames = room / o.stride + 1,
          .out = weight.size(0),
          .kernel = weight.size(2),
          .groups = o.groups,
          .stride = o.stride,
          .pad_left = o.pad_left,
          .gelu_input = o.gelu_input,
          .dtype = x.dtype()};
}

// What the kernels need beside their arrays; undefined on the CPU.
struct Room {
  Tensor memory;
  Room(const kernels::Conv1dShape& s, DType dtype, Device device) {
    if (device != Device::cpu) memory = empty({kernels::conv1d_room(s)}, dtype, device);
  }
  void* data() const { return memory.defined() ? memory.data() : nullptr; }
};

struct Conv1dBackward {
  kernels::Conv1dShape shape;
  Saved x, weight;
  Sink to_x, to_weight, to_bias;

  Grads operator()(const Tensor& dy) const {
    require(dy.contiguous(), "conv1d: gradient of shape ", dy.shape(), " is not contiguous");
    const Sink::Target dweight = to_weight.open(), dbias = to_bias.open();
    if (to_weight.wanted())
      kernels::conv1d_grad_weight.run(dy.device(), dy.stream(),
                                      {.shape = shape,
                                       .dy = dy.data(),
                                       .x = x->data(),
                                       .dweight = dweight.data(),
                                       .accumulate = dweight.accumulate,
                                       .room = Room(shape, dy.dtype(), dy.device()).data()});
    if (to_bias.wanted())
      kernels::column_sum.run(dy.device(), dy.stream(),
                              {.x = dy.data(),
                               .sum = dbias.data(),
                               .accumulate = dbias.accumulate,
                               .rows = shape.batch * shape.frames,
                               .cols = shape.out,
                               .stride = shape.out,
                               .dtype = dy.dtype()});
    Tensor dx;
    if (to_x.wanted()) {
      dx = empty_like(*x);
      kernels::conv1d_grad_input.run(dy.device(), dy.stream(),
                                     {.shape = shape,
                                      .dy = dy.data(),
                                      .weight = weight->data(),
                                      .x = x->data(),
                                      .dx = dx.data(),
                                      .room = Room(shape, DType::f32, dy.device()).data()});
    }
    return {dx, dweight, dbias};
  }
};

}  // namespace

Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv1dOptions& options) {
  const kernels::Conv1dShape shape = shape_of(x, weight, bias, options);
  const Tensor y = empty({shape.batch, shape.frames, shape.out}, x.dtype(), x.device());
  kernels::conv1d.run(x.device(), x.stream(),
                      {.shape = shape,
                       .x = x.data(),
                       .weight = weight.data(),
                       .bias = bias.defined() ? bias.data() : nullptr,
                       .y = y.data(),
                       .room = Room(shape, x.dtype(), x.device()).data()});
  const DType sums = wide(x.dtype());
  return differentiable(y, {x, weight, bias},
                        Conv1dBackward{shape, Saved(x), Saved(weight), Sink(x), Sink(weight, sums), Sink(bias, sums)});
}

}  // namespace hinoki
