// RAII for anything that is a value and has a destroy function.
#pragma once
#include <utility>

namespace hinoki {

template <class T, auto destroy, T empty = T{}>
class Handle {
 public:
  Handle() = default;
  explicit Handle(T value) : value_(value) {}
  Handle(Handle&& other) noexcept : value_(std::exchange(other.value_, empty)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  ~Handle() {
    if (value_ != empty) destroy(value_);
  }

  T get() const { return value_; }
  explicit operator bool() const { return value_ != empty; }

 private:
  T value_ = empty;
};

}  // namespace hinoki
