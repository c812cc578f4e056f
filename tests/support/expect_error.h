// EXPECT_ERROR(statement, code, "part of the message"): the statement must throw an Error that says so.
#pragma once
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/base/check.h"

#define EXPECT_ERROR(statement, exit_code, part)                                               \
  try {                                                                                        \
    statement;                                                                                 \
    ADD_FAILURE() << #statement << " did not fail";                                            \
  } catch (const hinoki::Error& e) {                                                           \
    EXPECT_EQ(int(e.code), int(exit_code)) << e.what();                                        \
    EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << "it says: " << e.what(); \
  }

namespace hinoki {

// The same for several parts of the message.
template <class Action>
void expect_error(Exit code, const std::vector<std::string>& parts, Action&& action) {
  try {
    action();
    ADD_FAILURE() << "no error" << (parts.empty() ? "" : ", but expected: " + parts[0]);
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.code), static_cast<int>(code)) << error.what();
    for (const std::string& part : parts)
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos)
          << "the message lacks \"" << part << "\": " << error.what();
  }
}

}  // namespace hinoki
