// Where a command computes with a finished model, and how exactly.
#pragma once
#include "train/run_config.h"

namespace CLI {
class App;
}

namespace hinoki {

struct Placement {
  Device device = Device::cpu;
  Precision precision = Precision::f32;
};

// --device and --precision.
void add_placement_options(CLI::App& command, Placement& where);

// Makes the device ready, or says what is missing (Exit::usage). To be called before the first product.
void prepare(const Placement& where);

}  // namespace hinoki
