// What g++ calls where an instrumented file does something undefined (-fsanitize=undefined): an error of the launch
// inside a kernel; in host code of a kernel file a message and the end of the program, since these calls may not throw.
#include <cstdint>
#include <cstdio>

#include "kernels/simt/engine.h"

namespace {

struct Place {  // laid out by the compiler
  const char* file;
  uint32_t line, column;
};
struct Type {
  uint16_t kind, information;
  char name[1];
};
struct Mismatch {
  Place place;
  const Type* type;
  unsigned char log_alignment, kind;
};

[[noreturn]] void undefined(const Place& place, const std::string& what) {
  const std::string file = place.file;
  const std::string text =
      hinoki::say("undefined: ", what, " (", file.substr(file.rfind('/') + 1), ":", place.line, ")");
  if (hinoki::simt::engine != nullptr && hinoki::simt::engine->self != nullptr) hinoki::simt::fault(text);
  std::fprintf(stderr, "%s\n", text.c_str());
  __builtin_trap();
}

template <class... Parts>
[[noreturn]] void report(const void* data, const Parts&... parts) {
  if (hinoki::simt::engine != nullptr) hinoki::simt::engine->quiet = true;
  undefined(*static_cast<const Place*>(data), hinoki::say(parts...));
}

}  // namespace

extern "C" {

void __ubsan_handle_type_mismatch_v1(const Mismatch* data, uintptr_t address) {
  if (address == 0) report(data, "null pointer to ", data->type->name);
  const uintptr_t alignment = uintptr_t{1} << data->log_alignment;
  if (address % alignment != 0)
    report(data, "misaligned address ", reinterpret_cast<void*>(address), " of ", data->type->name, ", which needs ",
           alignment, " bytes");
  report(data, "access past the end of an object as ", data->type->name);
}
void __ubsan_handle_alignment_assumption(void* data, uintptr_t, uintptr_t, uintptr_t) {
  report(data, "alignment assumption");
}
void __ubsan_handle_add_overflow(void* data, uintptr_t, uintptr_t) { report(data, "signed addition overflows"); }
void __ubsan_handle_sub_overflow(void* data, uintptr_t, uintptr_t) { report(data, "signed subtraction overflows"); }
void __ubsan_handle_mul_overflow(void* data, uintptr_t, uintptr_t) { report(data, "signed multiplication overflows"); }
void __ubsan_handle_negate_overflow(void* data, uintptr_t) { report(data, "negation overflows"); }
void __ubsan_handle_divrem_overflow(void* data, uintptr_t, uintptr_t) { report(data, "division by zero or overflow"); }
void __ubsan_handle_shift_out_of_bounds(void* data, uintptr_t, uintptr_t by) { report(data, "shift by ", int64_t(by)); }
void __ubsan_handle_out_of_bounds(void* data, uintptr_t index) {
  report(data, "index ", int64_t(index), " out of bounds");
}
void __ubsan_handle_builtin_unreachable(void* data) { report(data, "unreachable place reached"); }
void __ubsan_handle_missing_return(void* data) { report(data, "no value returned"); }
void __ubsan_handle_vla_bound_not_positive(void* data, uintptr_t) { report(data, "array of no size"); }
void __ubsan_handle_load_invalid_value(void* data, uintptr_t v) {
  report(data, "invalid value ", v, " of a bool or enum");
}
void __ubsan_handle_invalid_builtin(void* data) { report(data, "zero passed to a bit count"); }
void __ubsan_handle_float_cast_overflow(void* data, uintptr_t) { report(data, "float does not fit into the integer"); }
void __ubsan_handle_nonnull_arg(void* data) { report(data, "null where it must not be"); }
void __ubsan_handle_nonnull_return_v1(void*, void* place) { report(place, "null returned"); }
void __ubsan_handle_pointer_overflow(void* data, uintptr_t, uintptr_t) { report(data, "pointer arithmetic overflows"); }
}
