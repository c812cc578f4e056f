#include "train/ctc_task.h"

#include <cmath>
#include <cstring>

#include "core/base/file.h"
#include "core/base/log.h"
#include "data/error_rate.h"
#include "models/ctc_decode.h"
#include "models/hugging_face_hubert.h"
#include "train/hubert_folder.h"
#include "train/progress.h"

namespace hinoki {
namespace {

struct CtcExample : Examples {
  HubertInput input;
  Tensor frames, labels, lengths;  // i32, in the machine's own memory
};

Tensor ints(const std::vector<int32_t>& values) { return from_values<int32_t>({int64_t(values.size())}, values); }

double hours_rounded(double hours) { return std::round(1000 * hours) / 1000; }

}  // namespace

// What is found of one utterance, as ranks send it to each other.
struct CtcTask::Judged {
  double loss = 0;    // nats
  double labels = 0;  // that it is of
  Errors characters, words;
};

std::unique_ptr<Task> task_of(const CtcConfig& config, Parameters& parameters) {
  return std::make_unique<CtcTask>(config, parameters);
}

CtcTask::CtcTask(const CtcConfig& config, Parameters& parameters)
    : config_(config),
      corpus_(config.data.corpus, "train"),
      validation_corpus_(config.data.corpus, "validation"),
      vocabulary_(vocabulary_of(config)),
      speech_(corpus_, vocabulary_, config_.rules()),
      validation_speech_(validation_corpus_, vocabulary_,
                         [&] {
                           TranscribedRules all = config_.rules();
                           all.hours = 0;
                           return all;
                         }()),
      batches_(batches(speech_)),
      validation_(batches(validation_speech_)),
      model_(std::make_unique<HubertForCtc>(config.model, vocabulary_.size(), Scope(parameters))) {
  model_->hubert.extractor_frozen = config.freeze_extractor;
  model_->hubert.recompute = config.train.recompute;
  model_->frozen_steps = config.freeze_encoder_steps;
  tell_data();
}

SpeechBatches CtcTask::batches(const TranscribedSpeech& speech) const {
  return {speech.corpus(),
          {.samples = config_.row_samples(),
           .hop = config_.model.hop(),
           .least = config_.model.least_samples(),
           .most = config_.row_samples(),
           .normalize = config_.data.do_normalize},
          uint64_t(config_.train.seed),
          [&](int64_t u) { return speech.takes(u); }};
}

void CtcTask::tell_data() const {
  inform("vocabulary: ", vocabulary_.size(), " tokens; speech: ", speech_.count(), " utterances, ",
         hours_rounded(speech_.hours()), " hours; validation: ", validation_speech_.count(), " utterances, ",
         hours_rounded(validation_speech_.hours()), " hours");
  for (const std::string& note : speech_.notes()) warn("training split: ", note);
  for (const std::string& note : validation_speech_.notes()) warn("validation split: ", note);
}

std::unique_ptr<Examples> CtcTask::examples(int64_t step, int64_t first, int64_t rows) const {
  const int64_t samples = config_.row_samples(), frames = config_.model.frames(samples);
  auto made = std::make_unique<CtcExample>();
  made->input.samples = empty({rows, samples}, DType::f32);
  const bool masked = config_.mask.probability > 0, channels_masked = config_.channel_mask.probability > 0;
  if (masked) made->input.masked_frames = zeros({rows, frames}, DType::i32);
  if (channels_masked) made->input.masked_channels = zeros({rows, config_.model.hidden_size}, DType::i32);
  std::vector<int32_t> valid, labels, lengths;
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t position = step * config_.step_rows() + first + row;
    const Crop crop = batches_.crop(position);
    batches_.fill(crop, {made->input.samples.as<float>() + row * samples, size_t(samples)});
    made->input.lengths.push_back(crop.samples);
    valid.push_back(int32_t(config_.model.frames(crop.samples)));
    const std::vector<int32_t> own = speech_.labels(crop.utterance);
    labels.insert(labels.end(), own.begin(), own.end());
    lengths.push_back(int32_t(own.size()));
    const auto mask = [&](const SpanMask& rule, const char* site, Tensor& all, int64_t width) {
      const RandomKey key{.seed = uint64_t(config_.train.seed), .site = hash_name(site), .step = uint64_t(position)};
      const double u = double(unit_float(philox(key, uint64_t{1} << 40)[0]));
      draw_span_mask(rule, u, key, {all.as<int32_t>() + row * all.size(1), size_t(width)});
    };
    if (masked) mask(config_.mask, "ctc/frames", made->input.masked_frames, valid.back());
    if (channels_masked)
      mask(config_.channel_mask, "ctc/channels", made->input.masked_channels, config_.model.hidden_size);
  }
  made->frames = ints(valid), made->labels = ints(labels), made->lengths = ints(lengths);
  made->targets = int64_t(labels.size());
  return made;
}

Tensor CtcTask::loss(const Examples& examples, const Pass& pass) const {
  const auto& e = static_cast<const CtcExample&>(examples);
  return ctc_loss(model_->forward(e.input, pass), e.frames, e.labels, e.lengths, vocabulary_.blank());
}

// [1, frames, vocabulary]
Tensor CtcTask::logits_of(int64_t n) const {
  const NoGrad no_grad;
  const Crop crop = validation_.beginning(n);
  HubertInput input{.samples = empty({1, crop.samples}, DType::f32)};
  validation_.fill(crop, {input.samples.as<float>(), size_t(crop.samples)});
  const Tensor logits = to_device(model_->forward(input, {}), Device::cpu);
  return logits.dtype() == DType::f32 ? logits : cast(logits, DType::f32);
}

std::string CtcTask::recognised(const Tensor& logits) const {
  std::vector<int32_t> ids;
  for (const CtcLabel& label : ctc_greedy(logits.view({logits.size(1), logits.size(2)}), vocabulary_.blank()).labels)
    ids.push_back(label.id);
  return vocabulary_.decode(ids);
}

CtcTask::Judged CtcTask::judge(int64_t n) const {
  const int64_t u = validation_.utterances()[size_t(n)];
  const Tensor logits = logits_of(n);
  const std::vector<int32_t> labels = validation_speech_.labels(u);
  const std::string said = validation_speech_.transcript(u), text = recognised(logits);
  const NoGrad no_grad;
  return {.loss = ctc_loss(logits, ints({int32_t(logits.size(1))}), ints(labels), ints({int32_t(labels.size())}),
                           vocabulary_.blank())
                      .item(),
          .labels = double(labels.size()),
          .characters = character_errors(said, text),
          .words = word_errors(said, text)};
}

// Utterance n is rank n % size's; losses add up in order, counts are whole numbers.
Validation CtcTask::validate(Communicator& ranks) const {
  const int64_t most = config_.log.evaluate_sequences;
  const int64_t count = most ? std::min(most, validation_.count()) : validation_.count();
  std::string mine;
  for (int64_t n = ranks.rank(); n < count; n += ranks.size()) {
    const Judged judged = judge(n);
    mine.append(reinterpret_cast<const char*>(&judged), sizeof judged);
  }
  const std::vector<std::string> parts = gather(ranks, "what the validation found", mine);
  Judged sum;
  for (int64_t n = 0; n < count; ++n) {
    const std::string& part = parts[size_t(n % ranks.size())];
    const size_t at = size_t(n / ranks.size()) * sizeof(Judged);
    require(at + sizeof(Judged) <= part.size(), "the validation has too little to say of utterance ", n);
    Judged one;
    std::memcpy(&one, part.data() + at, sizeof one);
    sum.loss += one.loss, sum.labels += one.labels, sum.characters += one.characters, sum.words += one.words;
  }
  require<Exit::numerical>(std::isfinite(sum.loss), config_.data.corpus, ": the loss is ", sum.loss,
                           ": the model's weights are damaged");
  const double loss = sum.loss / sum.labels, cer = sum.characters.rate(), wer = sum.words.rate();
  char text[200];
  std::snprintf(text, sizeof text,
                "%.4f nats/character, CER %.2f %% (%s of %s characters; %s substituted, %s missing, %s too many), WER "
                "%.1f %%, %s utterances",
                loss, 100 * cer, grouped(sum.characters.all()).c_str(), grouped(sum.characters.length).c_str(),
                grouped(sum.characters.substitutions).c_str(), grouped(sum.characters.deletions).c_str(),
                grouped(sum.characters.insertions).c_str(), 100 * wer, grouped(count).c_str());
  return {.loss = loss,
          .text = text,
          .scalars = {{"validation/loss", loss}, {"validation/cer", cer}, {"validation/wer", wer}}};
}

std::vector<std::string> CtcTask::samples(int64_t) const {
  std::vector<std::string> texts;
  for (int64_t n = 0; n < std::min(config_.sample_utterances, validation_.count()); ++n)
    texts.push_back(say("said:       ", validation_speech_.transcript(validation_.utterances()[size_t(n)]),
                        "\nrecognised: ", recognised(logits_of(n))));
  return texts;
}

int64_t CtcTask::learns_from(const Parameter& p) const {
  if (!p.name.starts_with("hubert.")) return 0;
  const bool extractor = p.name.starts_with("hubert.feature_extractor.");
  return extractor && config_.freeze_extractor ? INT64_MAX : config_.freeze_encoder_steps;
}

void CtcTask::start_from(const std::string& folder, Parameters& parameters) const {
  const HubertFolder before = read_hubert_config(folder);
  require<Exit::usage>(before.normalize == config_.data.do_normalize, folder,
                       ": learned from sound with do_normalize = ", before.normalize, ", data.do_normalize is ",
                       config_.data.do_normalize);
  if (before.vocabulary > 0)
    require<Exit::usage>(CtcVocabulary::load(folder) == vocabulary_, folder,
                         ": spells in another vocabulary; set data.vocabulary = \"", folder,
                         "\" to go on in it, or start from the model before it learned to spell");
  parameters.initialize(uint64_t(config_.train.seed));
  fill_from_hubert(folder, parameters);
  inform("started from ", folder,
         before.vocabulary > 0 ? "; lm_head, too" : "; new, from the seed: lm_head.weight, lm_head.bias");
}

void CtcTask::check_snapshot(const std::string& folder) const {
  require<Exit::snapshot>(CtcVocabulary::load(folder) == vocabulary_, folder,
                          ": spells in another vocabulary than the run would now; bring back its transcripts, or set "
                          "data.vocabulary to the snapshot, or start a new run folder");
}

std::function<void(const std::string& folder)> CtcTask::model_texts() const {
  const HubertFolder model{.model = config_.model,
                           .vocabulary = vocabulary_.size(),
                           .ids = {.bos = 1, .eos = 2, .pad = vocabulary_.blank()},
                           .normalize = config_.data.do_normalize};
  return [model, vocabulary = vocabulary_, dtype = config_.dtype()](const std::string& folder) {
    write_hubert_texts(folder, model, dtype);
    vocabulary.write(folder);
  };
}

}  // namespace hinoki
