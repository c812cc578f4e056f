// Instruction sets the CPU kernels are compiled for. Every kernel file is compiled once per target; the best one that
// this CPU runs is chosen when the kernel is called.
#pragma once
#include <cstdint>
#include <string>

namespace hinoki {

enum class Target : uint8_t { portable, avx2, avx512 };
constexpr int kTargets = 3;

Target best_target();    // that this CPU runs and this program was built for; if there is none, an Error (Exit::usage)
Target active_target();  // best_target(), lowered by HINOKI_TARGET=portable|avx2|avx512 or by set_target()
void set_target(Target t);
const char* name_of(Target t);
std::string cpu_name();

}  // namespace hinoki
