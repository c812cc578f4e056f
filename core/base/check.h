// The only way to fail: throw an Error that says what, where and what to do. Only main() turns it into an exit code.
#pragma once
#include <sstream>
#include <stdexcept>
#include <string>

namespace hinoki {

// Process exit codes, part of the command line's contract.
enum class Exit { ok = 0, failure = 1, usage = 2, data = 3, snapshot = 4, numerical = 5, peer = 6, stopped = 75 };

struct Error : std::runtime_error {
  Error(Exit code, const std::string& message) : std::runtime_error(message), code(code) {}
  Exit code;
};

// Joins anything that can be printed.
template <class... Parts>
std::string say(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

template <Exit code = Exit::failure, class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  throw Error(code, say(parts...));
}

// For what a caller can get wrong. What only we can get wrong is an assert.
template <Exit code = Exit::failure, class... Parts>
void require(bool holds, const Parts&... otherwise) {
  if (!holds) [[unlikely]]
    fail<code>(otherwise...);
}

}  // namespace hinoki
