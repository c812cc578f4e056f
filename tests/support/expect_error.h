// EXPECT_ERROR(statement, code, "part of the message"): the statement must throw an Error that says so.
#pragma once
#include <gtest/gtest.h>

#include "core/base/check.h"

#define EXPECT_ERROR(statement, exit_code, part)                                               \
  try {                                                                                        \
    statement;                                                                                 \
    ADD_FAILURE() << #statement << " did not fail";                                            \
  } catch (const hinoki::Error& e) {                                                           \
    EXPECT_EQ(int(e.code), int(exit_code)) << e.what();                                        \
    EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << "it says: " << e.what(); \
  }
