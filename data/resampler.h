// One channel from one sample rate to another, block by block: soxr's high quality, which keeps 20 bits and everything
// up to 91 % of the lower Nyquist frequency. Same input, same blocks: same bits on the same instruction set.
#pragma once
#include <soxr.h>

#include <span>
#include <vector>

#include "core/base/handle.h"

namespace hinoki {

class Resampler {
 public:
  Resampler(double from, double to);
  // Appends what comes out after more went in; `last` gives the rest.
  void add(std::span<const float> in, bool last, std::vector<float>& out);

 private:
  double ratio_;
  Handle<soxr_t, soxr_delete> soxr_;
};

}  // namespace hinoki
