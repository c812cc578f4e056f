// What a recipe counts its work in.
#pragma once
#include <string>

namespace hinoki {

struct Throughput {
  std::string one = {}, many = {};  // "token", "tokens": what is counted
  std::string unit = {};            // "tok/s"
  std::string metric = {};          // "tokens_per_second", in metrics.jsonl
  double step = 0;                  // of them in a step, of all ranks
  double flops = 0;                 // of one, forward and backward; a multiply-add is two
  std::string made_of = {};         // how a step comes to so many, for people
};

}  // namespace hinoki
