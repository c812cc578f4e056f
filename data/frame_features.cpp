#include "data/frame_features.h"

#include <vector>

#include "core/base/check.h"
#include "kernels/mfcc.h"

namespace hinoki {
namespace {

class MfccFeatures final : public FrameFeatures {
 public:
  explicit MfccFeatures(const SpeechCorpus& corpus) : corpus_(corpus) {}
  std::string kind() const override { return "mfcc"; }
  int64_t dim() const override { return kernels::kMfccSize; }
  int64_t rate() const override { return kernels::kMfccRate / kernels::kMfccShift; }
  int64_t frames(int64_t u) const override { return kernels::mfcc_frames(corpus_.samples(u)); }
  const SpeechCorpus& corpus() const override { return corpus_; }

  void features(int64_t u, std::span<float> out) const override {
    static_assert(kSampleRate == kernels::kMfccRate);
    require(int64_t(out.size()) == frames(u) * dim(), "utterance ", u, " has ", frames(u), " frames of ", dim(),
            " numbers, but there is room for ", out.size(), " numbers");
    thread_local std::vector<float> samples;
    samples.resize(size_t(corpus_.samples(u)));
    corpus_.read(u, std::span(samples));
    kernels::mfcc.run(Device::cpu, {},
                      {.x = samples.data(), .features = out.data(), .samples = int64_t(samples.size())});
  }

 private:
  const SpeechCorpus& corpus_;
};

}  // namespace

std::unique_ptr<FrameFeatures> open_features(const std::string& spec, const SpeechCorpus& corpus) {
  require<Exit::usage>(spec == "mfcc", "there are no features \"", spec, "\"; this program makes \"mfcc\"");
  return std::make_unique<MfccFeatures>(corpus);
}

}  // namespace hinoki
