#include "models/scope.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/base/parallel.h"

namespace hinoki {
namespace {

constexpr int64_t kAlign = 16;  // elements: every parameter starts on a cache line

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

}  // namespace

Parameters::Parameters(DType dtype)
    : dtype_(dtype), weights_(Storage::reserve()), gradients_(Storage::reserve()) {}

Parameters::Parameters(Source source) : dtype_(DType::f32), source_(std::move(source)) {}

Tensor Parameters::add(const std::string& name, const Shape& shape, Init init) {
  for (const Parameter& p : all_) require(p.name != name, "two parameters are named ", name);
  Parameter p{.name = name, .shape = shape, .init = init, .offset = end_, .value = {}};
  if (source_) {
    p.value = source_(name, shape);
  } else {
    const Tensor grad(gradients_, end_, shape, shape.strides(), dtype_);
    p.value = make_leaf(Tensor(weights_, end_, shape, shape.strides(), dtype_), name, grad);
    end_ += (shape.numel() + kAlign - 1) / kAlign * kAlign;
  }
  all_.push_back(p);
  return p.value;
}

void Parameters::allocate() {
  require(!source_, "parameters that come from a source are not allocated");
  for (Storage* s : {weights_.get(), gradients_.get()}) {
    s->fulfil(size_t(flat_size()) * size_of(dtype_));
    std::memset(s->data(), 0, s->bytes());
  }
}

void Parameters::initialize(uint64_t seed) {
  for (const Parameter& p : all_) {
    visit_float(dtype_, [&]<class T>() {
      T* w = p.value.as<T>();
      if (p.init.kind == Init::normal)
        fill_normal(w, p.size(), {.seed = seed, .site = hash_name(p.name)}, p.init.std);
      else
        std::fill_n(w, p.size(), T(p.init.kind == Init::ones ? 1 : 0));
    });
  }
  weights_->touch();
}

void Parameters::clear_gradients() {
  for (const Parameter& p : all_) p.value.edge().leaf->fresh = true;
}

void Parameters::finish_gradients() {
  for (const Parameter& p : all_) {
    Leaf& leaf = *p.value.edge().leaf;
    if (std::exchange(leaf.fresh, false)) std::memset(leaf.grad.data(), 0, size_t(p.size()) * size_of(dtype_));
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
