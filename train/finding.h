// What an examination of `hinoki doctor` has found.
#pragma once
#include <string>

namespace hinoki {

struct Finding {
  bool good;
  std::string name, value;
  std::string remedy;  // where it is not good
};

}  // namespace hinoki
