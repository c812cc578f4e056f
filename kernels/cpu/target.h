// Included first by every CPU kernel file. CMake compiles each of them once per Target with HINOKI_TARGET set to its
// name; everything they define lives in namespace hinoki::kernels::HINOKI_TARGET, so that no function compiled for one
// instruction set can stand in for another's.
#pragma once
#include "core/base/isa.h"

#ifndef HINOKI_TARGET
#define HINOKI_TARGET portable  // for tools that read a file outside the build
#endif

namespace hinoki::kernels::HINOKI_TARGET {
constexpr Target kTarget = Target::HINOKI_TARGET;
}
