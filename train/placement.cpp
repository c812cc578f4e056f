#include "train/placement.h"

#include <CLI/CLI.hpp>
#include <map>

#include "core/base/backend.h"
#include "kernels/gemm.h"

namespace hinoki {

void add_placement_options(CLI::App& command, Placement& where) {
  const auto names = []<class T>(std::initializer_list<T> values) {
    std::map<std::string, T> all;
    for (const T value : values) all.emplace(enum_names(value)[size_t(value)], value);
    return CLI::CheckedTransformer(all).description("");
  };
  command.add_option("--device", where.device, "Where to compute: cpu or cuda (default: cpu)")
      ->transform(names({Device::cpu, Device::cuda}))
      ->type_name("NAME");
  command
      .add_option("--precision", where.precision,
                  "What layers compute in: f32; on cuda also tf32 (of products) or bf16 (default: f32)")
      ->transform(names({Precision::f32, Precision::tf32, Precision::bf16}))
      ->type_name("NAME");
}

void prepare(const Placement& where) {
  require<Exit::usage>(where.device == Device::cuda || where.precision == Precision::f32, "--precision ",
                       enum_names(where.precision)[size_t(where.precision)],
                       " needs --device cuda; the CPU computes in f32");
  if (where.device == Device::cuda) require_cuda();
  if (where.precision == Precision::tf32) kernels::matmul_precision = kernels::MatmulPrecision::tf32;
}

}  // namespace hinoki
