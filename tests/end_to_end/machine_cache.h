// A cache of machine figures for the program under test, so that no run of it spends a second on measuring.
#pragma once
#include <string>

namespace hinoki::test {

std::string machine_cache();  // for XDG_CACHE_HOME; made once, gone with the process

}  // namespace hinoki::test
