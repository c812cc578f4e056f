#include "models/scope.h"

#include <algorithm>
#include <utility>

#include "core/base/parallel.h"
#include "kernels/cast.h"

namespace hinoki {
namespace {

template <class T>
void fill_normal(T* out, int64_t n, const RandomKey& key, double std) {
  parallel_blocks(n, int64_t{1} << 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += 4) {
      const Random4 r = philox(key, uint64_t(i) / 4);
      const auto a = normal_pair(r[0], r[1]), b = normal_pair(r[2], r[3]);
      const double four[] = {a[0], a[1], b[0], b[1]};
      for (int64_t j = i; j < std::min(i + 4, end); ++j) out[j] = T(std * four[j - i]);
    }
  });
}

template <class T>
void fill_uniform(T* out, int64_t n, const RandomKey& key, double from, double to) {
  parallel_blocks(n, int64_t{1} << 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += 4) {
      const Random4 r = philox(key, uint64_t(i) / 4);
      for (int64_t j = i; j < std::min(i + 4, end); ++j) out[j] = T(from + (to - from) * double(unit_float(r[j - i])));
    }
  });
}

}  // namespace

Parameters::Parameters(DType dtype, Device device)
    : dtype_(dtype), device_(device), weights_(Storage::reserve(device)), gradients_(Storage::reserve(device)) {
  if (master_dtype() != dtype) masters_ = Storage::reserve(device);
}

Parameters::Parameters(Source source) : dtype_(DType::f32), source_(std::move(source)) {}

Parameters::Parameters(DType dtype, Device device, FrozenBase base) : Parameters(dtype, device) {
  base_ = std::make_shared<const FrozenBase>(std::move(base));
}

Tensor Parameters::add(const std::string& name, const Shape& shape, Init init, bool training_only, bool beside) {
  for (const Parameter& p : all_) require(p.name != name, "two parameters are named ", name);
  if (base_ && !training_only && !beside) {
    frozen_.push_back({.name = name, .shape = shape, .init = init, .offset = 0, .value = base_->source(name, shape)});
    return frozen_.back().value;
  }
  Parameter p{.name = name, .shape = shape, .init = init, .offset = end_, .value = {}, .training_only = training_only};
  if (source_) {
    p.value = source_(name, shape);
  } else {
    const Tensor grad(gradients_, end_, shape, shape.strides(), master_dtype());
    p.value = make_leaf(Tensor(weights_, end_, shape, shape.strides(), dtype_), name, grad);
    end_ += (shape.numel() + kAlign - 1) / kAlign * kAlign;
  }
  all_.push_back(p);
  return p.value;
}

void Parameters::allocate() {
  require(!source_, "parameters that come from a source are not allocated");
  const auto make = [&](Storage& s, size_t element) {
    s.fulfil(size_t(flat_size()) * element, element);
    fill_bytes(s.data(), 0, s.bytes(), device_);
  };
  make(*weights_, size_of(dtype_));
  make(*gradients_, size_of(master_dtype()));
  if (masters_) make(*masters_, size_of(master_dtype()));
}

void Parameters::initialize(uint64_t seed) {
  for (const Parameter& p : all_) {
    const Tensor values = empty(p.shape, master_dtype());
    visit_float(master_dtype(), [&]<class T>() {
      T* w = values.as<T>();
      const RandomKey key{.seed = seed, .site = hash_name(p.name)};
      switch (p.init.kind) {
        case Init::constant:
          std::fill_n(w, p.size(), T(p.init.value));
          break;
        case Init::normal:
          fill_normal(w, p.size(), key, p.init.std);
          break;
        case Init::uniform:
          fill_uniform(w, p.size(), key, p.init.from, p.init.to);
          break;
      }
    });
    set(p, values);
  }
}

Tensor Parameters::master(const Parameter& p) const {
  if (!masters_) return p.value.detach();
  return {masters_, p.offset, p.shape, p.shape.strides(), master_dtype()};
}

void Parameters::set(const Parameter& p, const Tensor& values) {
  const Tensor to = master(p);
  copy_elements(values, to);
  if (masters_)
    kernels::cast.run(device_, {},
                      {.x = to.data(), .y = p.value.data(), .count = p.size(), .from = to.dtype(), .to = dtype_});
  weights_->touch();
}

void Parameters::clear_gradients() {
  for (const Parameter& p : all_) p.value.edge().leaf->fresh = true;
}

void Parameters::finish_gradients() {
  for (const Parameter& p : all_) {
    Leaf& leaf = *p.value.edge().leaf;
    if (std::exchange(leaf.fresh, false)) set_zero(leaf.grad);
  }
}

const Parameter& Parameters::find(const std::string& name) const {
  const auto p = std::find_if(all_.begin(), all_.end(), [&](const Parameter& q) { return q.name == name; });
  require(p != all_.end(), "the model has no parameter ", name);
  return *p;
}

int64_t Parameters::count() const {
  int64_t n = 0;
  for (const Parameter& p : all_) n += p.size();
  return n;
}

}  // namespace hinoki
