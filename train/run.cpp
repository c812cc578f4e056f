#include "train/run.h"

#include <chrono>
#include <cmath>

#include "core/base/in_quotes.h"
#include "data/batches.h"

namespace hinoki {
namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace

Run::Run(const GptConfig& config)
    : config_(config),
      tokenizer_(Tokenizer::load(config.data.tokenizer)),
      validation_(config.data.corpora.at(0).path, "validation", tokenizer_.hash()),
      parameters_(config.dtype(), config.device) {
  require<Exit::usage>(tokenizer_.size() <= config.model.vocab_size(), "the tokenizer ", config.data.tokenizer, " has ",
                       tokenizer_.size(), " pieces, more than model.vocab_size = ", config.model.vocab_size());
  std::vector<BlendPart> parts;
  for (const CorpusConfig& c : config.data.corpora) {
    corpora_.push_back(std::make_unique<TokenCorpus>(c.path, "train", tokenizer_.hash()));
    parts.push_back({corpora_.back().get(), c.weight});
  }
  batches_.emplace(std::move(parts), config.data.sequence, uint64_t(config.train.seed));
  model_ = make_model(config.model, parameters_);
  model_->recompute = config.train.recompute;
  parameters_.allocate();
  if (config.start_from.empty())
    parameters_.initialize(uint64_t(config.train.seed));
  else
    start_from(config.start_from);
  optimizer_ = std::make_unique<Optimizer>(parameters_, config.optimizer);
  check_end();
}

// A value that is not finite may hide for long: in the embedding of a token that seldom comes.
void Run::start_from(const std::string& folder) {
  WeightSource(folder).fill(parameters_);
  const std::string bad = find_not_finite(parameters_);
  require<Exit::numerical>(bad.empty(), "start_from ", folder, ": not finite is ", bad,
                           "; nothing was trained or saved");
}

void Run::resume(const std::string& snapshot) {
  const Tokenizer before = Tokenizer::load(snapshot);
  require<Exit::snapshot>(before.hash() == tokenizer_.hash(), snapshot, ": was trained with the tokenizer ",
                          before.hash(), ", data.tokenizer is now ", tokenizer_.hash(),
                          "; bring back the one in the snapshot "
                          "(spiece.model) and its corpus, or start a new run folder");
  prefetch_.reset();
  state_ = load_snapshot(snapshot, config_, parameters_, *optimizer_);
}

int64_t Run::training_tokens() const {
  int64_t tokens = 0;
  for (const auto& corpus : corpora_) tokens += corpus->tokens();
  return tokens;
}

Run::StepBatches Run::make_step(int64_t step) const {
  StepBatches all;
  for (int64_t micro = 0; micro < config_.train.micro_batches; ++micro) {
    const int64_t first = (step * config_.train.micro_batches + micro) * config_.train.batch;
    all.push_back(make_batch(config_.train.batch, config_.data.sequence,
                             [&](int64_t row, std::span<int32_t> tokens) { batches_->fill(first + row, tokens); }));
    if (config_.data.reset_attention) add_segments(all.back(), tokenizer_.eos());
  }
  return all;
}

StepReport Run::step() {
  if (writer_) writer_->check();
  if (!prefetch_)
    prefetch_ = std::make_unique<Prefetch<StepBatches>>([this](int64_t step) { return make_step(step); }, state_.step);
  const double start = now();
  const StepBatches batches = prefetch_->next();
  StepReport report{.learning_rate = config_.learning_rate.at(state_.step, config_.train.steps)};

  // Losses are sums: gradients of all micro-batches add up, and the number of tokens divides once, at the end.
  parameters_.clear_gradients();
  double loss = 0;
  for (size_t micro = 0; micro < batches.size(); ++micro) {
    const Batch b = to_device(batches[micro], config_.device);
    const Pass pass{.training = true,
                    .seed = uint64_t(config_.train.seed),
                    .step = uint64_t(state_.step),
                    .first_row = int64_t(micro) * config_.train.batch};
    const Tensor sum = model_->loss(b.ids, b.labels, b.segments, pass);
    backward(sum);
    loss += sum.item();
    report.tokens += b.labels.numel();
  }
  parameters_.finish_gradients();

  const double mean = 1 / double(report.tokens);
  report.loss = loss * mean;
  report.gradient_norm = optimizer_->gradient_norm(mean);
  if (!std::isfinite(report.loss) || !std::isfinite(report.gradient_norm))
    fail<Exit::numerical>("step ", state_.step + 1, ": the loss is ", report.loss, " and the gradient norm ",
                          report.gradient_norm, "; the first value that is not finite is in ",
                          find_not_finite(parameters_), ". The weights are those of step ", state_.step,
                          "; a lower learning rate, a longer warmup or a smaller optimizer.clip may help");
  // The factor of torch.nn.utils.clip_grad_norm_.
  const double clip =
      config_.optimizer.clip > 0 ? std::min(1.0, config_.optimizer.clip / (report.gradient_norm + 1e-6)) : 1;
  optimizer_->update(report.learning_rate, mean * clip, state_.step);

  report.step = ++state_.step;
  state_.tokens += report.tokens;
  report.seconds = now() - start;
  return report;
}

Evaluation Run::evaluate() const {
  return hinoki::evaluate(*model_, validation_, config_.data.sequence, config_.log.evaluate_sequences,
                          config_.train.batch);
}

std::vector<int32_t> Run::prompt_ids(const std::string& prompt) const {
  const std::vector<int32_t> ids = tokenizer_.encode(prompt);
  return ids.empty() && tokenizer_.eos() >= 0 ? std::vector{tokenizer_.eos()} : ids;  // what a document begins after
}

GenerationOptions Run::sample_options() const {
  const uint64_t seed = uint64_t(config_.train.seed) + uint64_t(state_.step);
  return {.sampling = {.temperature = 0.8, .top_p = 0.95, .seed = seed},
          .max_tokens = config_.log.sample_tokens,
          .end = tokenizer_.eos(),
          .usable_vocab = tokenizer_.size()};
}

std::vector<std::string> Run::samples() const {
  std::vector<std::string> texts;
  for (const std::string& prompt : config_.log.prompts)
    texts.push_back(prompt + tokenizer_.decode(generate(*model_, prompt_ids(prompt), sample_options())));
  return texts;
}

// What is done only after many steps must not fail then, and take them with it.
void Run::check_end() const {
  const Windows windows(validation_, config_.data.sequence);
  for (const std::string& prompt : config_.log.prompts) try {
      check_generation(*model_, prompt_ids(prompt), sample_options());
    } catch (const Error& e) {
      throw Error(e.code, say("log.prompts: ", in_quotes(prompt), ": ", e.what()));
    }
}

SnapshotWriter& Run::writer() {
  if (!writer_) {
    const ModelFolder model{.config = {config_.model, special_ids(tokenizer_)},
                            .dtype = parameters_.dtype(),
                            .tokenizer = Tokenizer::model_path(config_.data.tokenizer).string(),
                            .card = ""};
    writer_ = std::make_unique<SnapshotWriter>(config_, model, parameters_);
    writer_->reserve(snapshot_pieces(parameters_, *optimizer_));
  }
  return *writer_;
}

double Run::start_saving(std::function<void()> before_publishing) {
  SaveRequest request{.state = state_, .before_publishing = std::move(before_publishing)};
  const std::string bad = find_not_finite(parameters_);
  require<Exit::numerical>(bad.empty(), "step ", state_.step, ": not finite is ", bad,
                           "; no snapshot was written of it");
  return writer().save(std::move(request), snapshot_pieces(parameters_, *optimizer_));
}

std::string Run::save() {
  start_saving();
  writer().wait();
  return writer().finished().value().path;
}

}  // namespace hinoki
