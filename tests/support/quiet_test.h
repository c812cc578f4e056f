// The fixture of tests of runs, which would tell of every step.
#pragma once
#include <gtest/gtest.h>

#include "core/base/log.h"

namespace hinoki::test {

template <class Base = testing::Test>
class QuietTest : public Base {
 protected:
  void SetUp() override { set_quiet(true); }
  void TearDown() override { set_quiet(false); }
};

}  // namespace hinoki::test
