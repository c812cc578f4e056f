#include "data/resampler.h"

#include "core/base/check.h"

namespace hinoki {

Resampler::Resampler(double from, double to) : ratio_(to / from) {
  soxr_error_t error = nullptr;
  const soxr_io_spec_t floats = soxr_io_spec(SOXR_FLOAT32_I, SOXR_FLOAT32_I);
  const soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ, 0);
  const soxr_runtime_spec_t one_thread = soxr_runtime_spec(1);
  soxr_ = Handle<soxr_t, soxr_delete>(soxr_create(from, to, 1, &error, &floats, &quality, &one_thread));
  require(!error, "cannot resample from ", from, " to ", to, " Hz: ", error);
}

void Resampler::add(std::span<const float> in, bool last, std::vector<float>& out) {
  // What is inside comes out with the end, in as many calls as it takes.
  for (const float* from = in.data(); !in.empty() || last;) {
    const size_t had = out.size(), room = size_t(double(in.size()) * ratio_) + 1024;
    out.resize(had + room);
    size_t taken = 0, made = 0;
    const soxr_error_t error =
        soxr_process(soxr_.get(), in.empty() ? nullptr : from, in.size(), &taken, out.data() + had, room, &made);
    require(!error, "cannot resample: ", error);
    out.resize(had + made);
    if (in.empty() && made == 0) return;
    require(taken > 0 || made > 0, "the resampler does not go on");
    in = in.subspan(taken);
    from = in.data();
  }
}

}  // namespace hinoki
