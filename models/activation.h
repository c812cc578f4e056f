// Names of activation functions in config files.
#pragma once
#include <string>

#include "core/ops.h"

namespace hinoki {

inline Gelu gelu_form(const std::string& hidden_act) {
  if (hidden_act == "gelu") return Gelu::erf;
  for (const char* name : {"gelu_new", "gelu_fast", "gelu_pytorch_tanh"})
    if (hidden_act == name) return Gelu::tanh;
  fail<Exit::usage>("model: activation \"", hidden_act, "\" is not one of gelu, gelu_new, gelu_fast, gelu_pytorch_tanh");
}

}  // namespace hinoki
