#include "train/hubert_task.h"

#include <cmath>
#include <cstring>

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "train/hubert_folder.h"
#include "train/hubert_plan.h"
#include "train/progress.h"

namespace hinoki {
namespace {

constexpr const char* kLabelsFile = "labels.json";

struct HubertExample : Examples {
  HubertBatch batch;
};

// What the model thought of the frames of one utterance.
struct Judged {
  double loss = 0;                      // nats, of the masked ones
  double masked = 0, masked_right = 0;  // frames
  double seen = 0, seen_right = 0;      // those that were not masked

  void add(const Judged& other) {
    loss += other.loss;
    masked += other.masked, masked_right += other.masked_right;
    seen += other.seen, seen_right += other.seen_right;
  }
};

std::vector<Judged> judge(const HubertForPretraining& model, const HubertBatch& batch) {
  Tensor all = empty(batch.labels.shape(), DType::i32);
  std::fill_n(all.as<int32_t>(), all.numel(), 1);
  const HubertForPretraining::Predictions p = model.predict(batch.input, batch.labels, all);
  std::vector<Judged> rows(size_t(batch.labels.size(0)));
  const int64_t frames = batch.labels.size(1);
  const Tensor losses = to_device(p.losses, Device::cpu);
  for (int64_t i = 0, next = 0; i < batch.labels.numel(); ++i) {
    if (batch.labels.as<int32_t>()[i] == -100) continue;
    Judged& row = rows[size_t(i / frames)];
    const double right = p.likely[size_t(next)] == p.labels[size_t(next)] ? 1 : 0;
    if (batch.input.masked_frames.as<int32_t>()[i])
      row.loss += losses.as<double>()[next], row.masked += 1, row.masked_right += right;
    else
      row.seen += 1, row.seen_right += right;
    ++next;
  }
  return rows;
}

}  // namespace

std::string heading_of(const HubertConfig& c) {
  return say("hubert, ", c.model.num_hidden_layers, " layers, width ", c.model.hidden_size, ", ", c.targets.classes,
             " clusters, rows of ", c.data.crop_seconds, " s");
}

Throughput throughput_of(const HubertConfig& c) {
  const double row = seconds_of(c.row_samples());
  return {.one = "second of sound",
          .many = "seconds",
          .unit = "s/s",
          .metric = "sound_seconds_per_second",
          .step = row * double(c.step_rows()),
          .flops = hubert_row_cost(c).total() / row,
          .made_of = say(c.train.micro_batches, " micro-batches x ", c.train.batch, " rows x ", row)};
}

double epoch_of(const HubertConfig& c) {
  if (!is_directory(c.data.corpus)) return 0;
  const SpeechCorpus corpus(c.data.corpus, "train");
  return double(SpeechBatches(corpus, c.rows(), 0).count()) * seconds_of(c.row_samples());
}

std::unique_ptr<Task> task_of(const HubertConfig& config, Parameters& parameters) {
  return std::make_unique<HubertTask>(config, parameters);
}

HubertTask::HubertTask(const HubertConfig& config, Parameters& parameters)
    : config_(config),
      corpus_(config.data.corpus, "train"),
      validation_corpus_(config.data.corpus, "validation"),
      labels_(config.data.labels, corpus_, "train"),
      validation_labels_(config.data.labels, validation_corpus_, "validation"),
      examples_(config_, corpus_, labels_),
      validation_(config_, validation_corpus_, validation_labels_),
      model_(std::make_unique<HubertForPretraining>(config.model, config.targets, Scope(parameters))) {
  require_same_codebook(labels_, validation_labels_);
  require<Exit::usage>(labels_.clusters() == config.targets.classes, "targets.classes is ", config.targets.classes,
                       ", but the labels ", config.data.labels, " are of ", labels_.clusters(), " clusters");
  require<Exit::data>(usage_of(labels_.counts()).used > 1, config.data.labels,
                      ": all labels are the same; there is nothing to learn from them");
  model_->hubert.gradient_multiplier = config.gradient_multiplier;
  model_->hubert.recompute = config.train.recompute;
  tell_data();
}

// What is trained on, and what of it is no speech.
void HubertTask::tell_data() const {
  const LabelUsage usage = usage_of(labels_.counts());
  inform("labels: ", labels_.clusters(), " clusters of ", labels_.origin().features, ", entropy ", usage.entropy,
         " nats, ", usage.used, " of them occur, the commonest in ", std::round(1000 * usage.commonest) / 10, " %");
  const SpeechBatches& batches = examples_.batches();
  inform("speech: ", batches.count(), " utterances, ", std::round(batches.seconds() / 36) / 100, " hours an epoch; ",
         batches.left_out(), " left out that are shorter than ", seconds_of(config_.least_samples()), " s");
  int64_t silent = 0, first = -1;
  for (const int64_t u : batches.utterances())
    if (labels_.longest_silence(u) >= std::min(corpus_.samples(u), config_.row_samples())) {
      if (++silent == 1) first = u;
    }
  if (silent > 0)
    warn(silent, " of ", batches.count(), " utterances are silent for as long as a row of training, the first of them ",
         corpus_.id(first), ": some rows will hold no sound; cut such recordings at their pauses, or leave them out");
}

std::unique_ptr<Examples> HubertTask::examples(int64_t step, int64_t first, int64_t rows) const {
  auto made = std::make_unique<HubertExample>();
  made->batch = examples_.of_step(step, first, rows);
  made->targets = made->batch.targets;
  return made;
}

Tensor HubertTask::loss(const Examples& examples, const Pass& pass) const {
  const HubertBatch& batch = static_cast<const HubertExample&>(examples).batch;
  return model_->loss(batch.input, batch.labels, pass).total;
}

// Batches are dealt to the ranks, and what they say of each utterance is added in the order of utterances.
Validation HubertTask::validate(Communicator& ranks) const {
  const int64_t all = validation_.batches().count(), most = config_.log.evaluate_sequences, each = config_.train.batch;
  const int64_t count = most ? std::min(most, all) : all;
  std::string mine;
  for (int64_t i = ranks.rank() * each; i < count; i += ranks.size() * each)
    for (const Judged& row : judge(*model_, validation_.of_validation(i, std::min(each, count - i))))
      mine.append(reinterpret_cast<const char*>(&row), sizeof row);
  const std::vector<std::string> parts = gather(ranks, "what the validation found", mine);
  Judged sum;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t batch = i / each;
    const size_t at = size_t(batch / ranks.size() * each + i % each) * sizeof(Judged);
    const std::string& part = parts[size_t(batch % ranks.size())];
    require(at + sizeof(Judged) <= part.size(), "the validation has too little to say of utterance ", i);
    Judged row;
    std::memcpy(&row, part.data() + at, sizeof row);
    sum.add(row);
  }
  require<Exit::numerical>(std::isfinite(sum.loss), config_.data.corpus, ": the loss is ", sum.loss,
                           ": the model's weights are damaged");
  const double loss = sum.loss / sum.masked, right = sum.masked_right / sum.masked, seen = sum.seen_right / sum.seen;
  char text[200];
  std::snprintf(text, sizeof text,
                "%.4f nats/masked frame, right are %.1f %% of masked and %.1f %% of other frames (%s masked frames; the "
                "commonest cluster: %.1f %%)",
                loss, 100 * right, 100 * seen, grouped(int64_t(sum.masked)).c_str(),
                100 * usage_of(validation_labels_.counts()).commonest);
  return {.loss = loss,
          .text = text,
          .scalars = {{"validation/loss", loss},
                      {"validation/masked_accuracy", right},
                      {"validation/unmasked_accuracy", seen},
                      {"validation/commonest_share", usage_of(validation_labels_.counts()).commonest}}};
}

// The heads guess clusters of a codebook that the folder does not hold.
void HubertTask::start_from(const std::string& folder, Parameters& parameters) const {
  const HubertFolder before = read_hubert_config(folder);
  require<Exit::usage>(before.normalize == config_.data.do_normalize, folder,
                       ": learned from sound with do_normalize = ", before.normalize, ", data.do_normalize is ",
                       config_.data.do_normalize);
  parameters.initialize(uint64_t(config_.train.seed));
  fill_from_hubert(folder, parameters);
  std::string heads;
  for (const Parameter& p : parameters.all())
    if (p.training_only) heads += (heads.empty() ? "" : ", ") + p.name;
  inform("started from ", folder, "; new, from the seed, for ", labels_.clusters(), " clusters: ", heads);
}

void HubertTask::check_snapshot(const std::string& folder) const {
  const std::string path = folder + "/" + kLabelsFile;
  try {
    const Json before = parse_json(read_file(path, 1 << 16), path);
    const std::string codebook = before.at("codebook");
    require<Exit::snapshot>(codebook == labels_.origin().codebook, folder, ": was trained on labels of the codebook ",
                            codebook, ", data.labels are now of ", labels_.origin().codebook,
                            "; bring back the labels, or start a new run folder");
  } catch (const Json::exception& e) {
    fail<Exit::snapshot>(path, " is damaged: ", e.what());
  }
}

std::function<void(const std::string& folder)> HubertTask::model_texts() const {
  const HubertFolder model{.model = config_.model, .normalize = config_.data.do_normalize};
  const LabelOrigin o = labels_.origin();
  const OrderedJson labels{
      {"codebook", o.codebook}, {"features", o.features}, {"rate", o.rate}, {"clusters", o.clusters}};
  return [model, said = labels.dump(2) + "\n", dtype = config_.dtype()](const std::string& folder) {
    write_hubert_texts(folder, model, dtype);
    FileWriter file = FileWriter::create(folder + "/" + kLabelsFile);
    file.write(said);
    file.close();
  };
}

}  // namespace hinoki
