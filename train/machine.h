// What this machine reaches, measured once and remembered: the share-of-peak figures refer to it.
#pragma once
#include <functional>
#include <string>

namespace hinoki {

struct MachineFigures {
  double fma_gflops = 0;   // f32 multiply-adds of a register loop, all threads of the pool
  double copy_gbs = 0;     // bytes read plus written
  double gemm_gflops = 0;  // the best of our products that `hinoki bench` has seen; 0: none yet
};

// From the cache (XDG_CACHE_HOME or ~/.cache, hinoki/machine.json) if it has this CPU, instruction set and number of
// threads; else measured in about a second and stored there. A cache that cannot be written is no error. Other load
// only ever lowers a figure: so the cache keeps the largest, and the multiply-adds are looked at again, for a twentieth
// of a second, each time it is asked.
MachineFigures machine_figures(bool measure_again = false);

// The peak of multiply-adds measured once more and remembered if it is larger: for who went beyond what was known.
double raise_fma_peak();

// What a product reached, remembered if it is the best so far. Returns the best.
double remember_product(double gflops);

// What matrix products of a GPU reach at most, in GFLOP/s: from the same cache by the GPU's name and what is multiplied
// ("bf16"), else from measure(), which is asked once and may give 0 for unknown, which is not stored.
double product_peak_gflops(const std::string& gpu, const std::string& precision,
                           const std::function<double()>& measure);

}  // namespace hinoki
