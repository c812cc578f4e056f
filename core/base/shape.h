// Shape: the sizes of a tensor's axes. A type of its own, so that it prints and compares.
#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>
#include <ostream>
#include <span>

#include "core/base/check.h"

namespace hinoki {

class Shape {
 public:
  static constexpr int kMaxRank = 6;

  Shape() = default;
  Shape(std::initializer_list<int64_t> sizes) : Shape(std::span(sizes.begin(), sizes.size())) {}
  explicit Shape(std::span<const int64_t> sizes);

  int rank() const { return rank_; }
  int64_t numel() const;
  // Negative axes count from the end.
  int64_t operator[](int axis) const { return sizes_[index(axis)]; }
  int64_t& operator[](int axis) { return sizes_[index(axis)]; }
  const int64_t* begin() const { return sizes_.data(); }
  const int64_t* end() const { return sizes_.data() + rank_; }

  void push_back(int64_t size);
  Shape without(int axis) const;
  // Strides, in elements, of a row-major array of this shape.
  Shape strides() const;

  friend bool operator==(const Shape& a, const Shape& b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }
  friend std::ostream& operator<<(std::ostream& out, const Shape& s);

 private:
  int index(int axis) const {
    const int i = axis < 0 ? axis + rank_ : axis;
    require(0 <= i && i < rank_, "axis ", axis, " of a shape of rank ", rank_);
    return i;
  }

  std::array<int64_t, kMaxRank> sizes_{};
  int rank_ = 0;
};

}  // namespace hinoki
