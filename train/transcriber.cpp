#include "train/transcriber.h"

#include <algorithm>
#include <cmath>

#include "data/speech_batches.h"
#include "models/ctc_decode.h"
#include "models/ctc_segments.h"
#include "train/hubert_folder.h"

namespace hinoki {
namespace {

LoadedHubert open_recogniser(const std::string& folder, const Placement& where) {
  LoadedHubert model = open_hubert(folder, where);
  require<Exit::usage>(model.ctc != nullptr, folder,
                       ": hears but does not spell (a HubertModel); train it to with recipe \"ctc\" first");
  return model;
}

}  // namespace

Transcriber::Transcriber(const std::string& folder, const Placement& where, const TranscriberOptions& options)
    : options_(options), model_(open_recogniser(folder, where)), vocabulary_(CtcVocabulary::load(folder)) {
  require<Exit::data>(vocabulary_.size() <= model_.config.vocabulary, folder, ": vocab.json has ", vocabulary_.size(),
                      " tokens, the model ", model_.config.vocabulary, ": they do not belong together");
  require<Exit::usage>(options.beam >= 0, "a beam of ", options.beam);
  cut_windows(1, int64_t(options.window_seconds * double(kSampleRate)) / model_.config.model.hop(),
              int64_t(options.margin_seconds * double(kSampleRate)) / model_.config.model.hop());
}

double Transcriber::least_seconds() const { return seconds_of(model_.config.model.least_samples()); }

Tensor Transcriber::hear(std::span<const float> samples) const {
  const NoGrad no_grad;
  const HubertInput input{.samples = from_values<float>({1, int64_t(samples.size())}, samples)};
  const Tensor logits = to_device(model_.ctc->forward(input, {}), Device::cpu);
  return (logits.dtype() == DType::f32 ? logits : cast(logits, DType::f32)).view({logits.size(1), logits.size(2)});
}

TranscriptSegment Transcriber::decode(const Tensor& logits, int64_t first, double seconds) const {
  const CtcText text = options_.beam > 0 ? ctc_beam(logits, vocabulary_.blank(), options_.beam)
                                         : ctc_greedy(logits, vocabulary_.blank());
  const double frame = seconds_of(model_.config.model.hop());
  TranscriptSegment segment{.begin = 0, .end = 0, .log_p = text.log_p, .characters = {}};
  for (const CtcLabel& label : text.labels) {
    // A model may have more classes than its tokenizer has tokens.
    const std::string said = label.id < vocabulary_.size() ? vocabulary_.text_of(label.id) : "";
    if (said.empty()) continue;
    segment.characters.push_back({said, std::min(seconds, double(first + label.first) * frame),
                                  std::min(seconds, double(first + label.last + 1) * frame)});
  }
  if (!segment.characters.empty()) {
    segment.begin = segment.characters.front().begin;
    segment.end = segment.characters.back().end;
  }
  return segment;
}

Transcript Transcriber::operator()(std::span<const float> samples, const std::function<void(double)>& progress) const {
  const HubertModelConfig& m = model_.config.model;
  const int64_t hop = m.hop(), count = int64_t(samples.size());
  Transcript transcript{.seconds = seconds_of(count), .segments = {}};
  std::vector<float> scaled;
  if (model_.config.normalize) {
    scaled.assign(samples.begin(), samples.end());
    normalize_wave(scaled);
    samples = scaled;
  }
  CtcSegments segments(model_.config.vocabulary, vocabulary_.blank());
  const auto decode_waiting = [&](bool last) {
    while (const auto s = segments.next(last)) {
      TranscriptSegment segment = decode(s->logits, s->first, transcript.seconds);
      if (!segment.text().empty()) transcript.segments.push_back(std::move(segment));
    }
  };
  const auto windows = cut_windows(m.frames(count), int64_t(options_.window_seconds * double(kSampleRate)) / hop,
                                   int64_t(options_.margin_seconds * double(kSampleRate)) / hop);
  for (const SoundWindow& w : windows) {
    const bool last = w.kept_end == windows.back().kept_end;  // it hears what follows the last whole frame, too
    const int64_t end = last ? count : (w.first + w.frames - 1) * hop + m.least_samples();
    const Tensor logits = hear(samples.subspan(size_t(w.first * hop), size_t(end - w.first * hop)));
    segments.add(logits.narrow(0, w.kept - w.first, w.kept_end - w.kept));
    decode_waiting(last);
    if (progress) progress(double(w.kept_end) / double(windows.back().kept_end));
  }
  return transcript;
}

}  // namespace hinoki
