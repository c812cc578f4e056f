#include "core/base/shape.h"

namespace hinoki {

Shape::Shape(std::span<const int64_t> sizes) {
  for (const int64_t n : sizes) push_back(n);
}

int64_t Shape::numel() const {
  int64_t n = 1;
  for (const int64_t size : *this)
    require(!__builtin_mul_overflow(n, size, &n), "shape ", *this, " has more elements than can be counted");
  return n;
}

void Shape::push_back(int64_t size) {
  require(rank_ < kMaxRank, "a tensor has at most ", kMaxRank, " axes");
  require(size >= 0, "axis of size ", size);
  sizes_[rank_++] = size;
}

Shape Shape::without(int axis) const {
  Shape rest;
  for (int i = 0; i < rank_; ++i)
    if (i != index(axis)) rest.push_back(sizes_[i]);
  return rest;
}

Shape Shape::strides() const {
  Shape s = *this;
  int64_t step = 1;
  for (int i = rank_ - 1; i >= 0; --i) {
    s.sizes_[i] = step;
    step *= sizes_[i];
  }
  return s;
}

std::ostream& operator<<(std::ostream& out, const Shape& s) {
  out << '[';
  for (int i = 0; i < s.rank(); ++i) out << (i ? ", " : "") << s[i];
  return out << ']';
}

}  // namespace hinoki
