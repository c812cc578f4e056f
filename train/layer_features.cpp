#include "train/layer_features.h"

#include <algorithm>
#include <charconv>

#include "data/speech_batches.h"
#include "train/hubert_folder.h"

namespace hinoki {
namespace {

std::string features_name(const LoadedHubert& model, int64_t layer) {
  Hasher128 hasher;
  for (const Parameter& p : model.parameters->all()) {
    hasher.add(p.name.c_str(), p.name.size() + 1);
    const Tensor here = to_device(p.value.detach(), Device::cpu);
    hasher.add(here.data(), size_t(here.numel()) * size_of(here.dtype()));
  }
  return say("hubert layer ", layer, " of ", hasher.hex());
}

}  // namespace

LayerFeatures::LayerFeatures(LoadedHubert model, int64_t layer, const SpeechCorpus& corpus, int64_t chunk)
    : model_(std::move(model)),
      layer_(layer),
      chunk_(std::max<int64_t>(1, chunk / config().hop()) * config().hop()),
      corpus_(corpus),
      kind_(features_name(model_, layer)) {
  require<Exit::usage>(layer >= 1 && layer <= config().num_hidden_layers, "features of layer ", layer,
                       ": the model has layers 1 to ", config().num_hidden_layers);
  require<Exit::data>(kSampleRate % config().hop() == 0, "the model's frames lie ", config().hop(),
                      " samples apart, which do not divide a second of ", kSampleRate);
}

void LayerFeatures::features(int64_t u, std::span<float> out) const {
  const int64_t samples = corpus_.samples(u), all = frames(u);
  require(int64_t(out.size()) == all * dim(), "utterance ", u, " has ", all, " frames of ", dim(),
          " numbers, but there is room for ", out.size(), " numbers");
  const NoGrad no_grad;
  std::vector<float> x(static_cast<size_t>(samples));
  read_crop(corpus_, {.utterance = u, .begin = 0, .samples = samples}, model_.config.normalize, x);
  // The last frame of a chunk hears a little of the next one.
  const int64_t more = config().least_samples() - config().hop();
  for (int64_t begin = 0, done = 0; done < all; begin += chunk_) {
    const int64_t n = std::min(chunk_ + more, samples - begin);
    const Tensor part = from_values<float>({1, n}, std::span<const float>(x).subspan(size_t(begin), size_t(n)));
    const Tensor hidden =
        to_device(model_.hubert().forward({.samples = part}, {}, nullptr, layer_).hidden, Device::cpu);
    std::copy_n(hidden.as<float>(), hidden.numel(), out.begin() + done * dim());
    done += hidden.size(1);
  }
}

std::unique_ptr<FrameFeatures> open_all_features(const std::string& spec, const SpeechCorpus& corpus) {
  const std::string kind = "hubert:", which = ":layer=";
  if (!spec.starts_with(kind)) return open_features(spec, corpus);
  const size_t at = spec.rfind(which);
  int64_t layer = 0;
  const char* const end = spec.data() + spec.size();
  const bool read = at != spec.npos && at > kind.size() &&
                    std::from_chars(spec.data() + at + which.size(), end, layer).ptr == end && layer > 0;
  require<Exit::usage>(read, "features \"", spec, "\" are none; write hubert:FOLDER:layer=N");
  return std::make_unique<LayerFeatures>(open_hubert(spec.substr(kind.size(), at - kind.size())), layer, corpus);
}

}  // namespace hinoki
