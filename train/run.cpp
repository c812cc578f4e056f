#include "train/run.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <numeric>

#include "core/base/hash128.h"
#include "core/base/in_quotes.h"
#include "core/base/log.h"
#include "core/base/trace.h"
#include "data/batches.h"

namespace hinoki {
namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// The config with its reduction slots chosen, and refused where these ranks cannot share them.
GptConfig with_slots(GptConfig c, int ranks) {
  if (c.train.reduction_slots == 0) c.train.reduction_slots = int64_t(std::bit_ceil(unsigned(ranks)));
  const int64_t slots = c.train.reduction_slots;
  require<Exit::usage>(slots % ranks == 0, ranks, " ranks cannot share train.reduction_slots = ", slots,
                       " equally; start 1, 2, 4, ... up to ", slots, " ranks");
  c.train.check();
  return c;
}

}  // namespace

Run::Run(const GptConfig& config, Communicator& ranks)
    : ranks_(ranks),
      config_(with_slots(config, ranks.size())),
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
  shards_.emplace(parameters_.flat_size(), int64_t(config.train.bucket_mib * double(1 << 18)), ranks.size());
  reducer_ = std::make_unique<Reducer>(parameters_, ranks_, *shards_, slots(), !sharded());
  optimizer_ = sharded() ? std::make_unique<Optimizer>(parameters_, config.optimizer, shards_->of(ranks.rank()))
                         : std::make_unique<Optimizer>(parameters_, config.optimizer);
  const ModelFolder model{.config = {config.model, special_ids(tokenizer_)},
                          .dtype = parameters_.dtype(),
                          .tokenizer = Tokenizer::model_path(config.data.tokenizer).string(),
                          .card = ""};
  saving_ = std::make_unique<Saving>(config_, model, parameters_, *optimizer_, ranks_, sharded());
  check_end();
}

// A value that is not finite may hide for long: in the embedding of a token that seldom comes.
void Run::start_from(const std::string& folder) {
  WeightSource(folder).fill(parameters_);
  const std::string bad = find_not_finite(parameters_);
  require<Exit::numerical>(bad.empty(), "start_from ", folder, ": not finite is ", bad,
                           "; nothing was trained or saved");
}

// Ranks that began with other weights would never agree again, and nothing else would tell.
void Run::check_equal_weights() const {
  if (ranks_.alone()) return;
  Hasher128 hasher;
  for (const Parameter& p : parameters_.all()) {
    const Tensor here = to_device(p.value.detach(), Device::cpu);
    hasher.add(here.data(), size_t(here.numel()) * size_of(here.dtype()));
  }
  const std::vector<std::string> all = gather(ranks_, "hashes of the weights", hasher.hex());
  for (int r = 1; r < ranks_.size(); ++r)
    require(all[size_t(r)] == all[0], "rank ", r, " has other weights than rank 0 (", all[size_t(r)], ", ", all[0],
            "): other instruction sets, libraries or files at start_from; `hinoki doctor` under the launcher compares");
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
  const Trace trace("make batches", "step", step + 1);
  StepBatches all;
  for (int64_t micro = 0; micro < micro_batches(); ++micro) {
    const int64_t first = (step * config_.train.micro_batches + first_micro_batch() + micro) * config_.train.batch;
    all.push_back(make_batch(config_.train.batch, config_.data.sequence,
                             [&](int64_t row, std::span<int32_t> tokens) { batches_->fill(first + row, tokens); }));
    if (config_.data.reset_attention) add_segments(all.back(), tokenizer_.eos());
  }
  return all;
}

// Losses are sums: gradients of all micro-batches add up, and the number of tokens divides once, at the end.
StepSums Run::accumulate(const StepBatches& batches) {
  StepSums sums;
  std::vector<double> losses;  // of slots
  const int64_t in_slot = micro_batches() / slots();
  for (int64_t micro = 0; micro < micro_batches(); ++micro) {
    const bool last_of_slot = (micro + 1) % in_slot == 0, last = micro + 1 == micro_batches();
    if (micro % in_slot == 0) {
      parameters_.clear_gradients();
      losses.push_back(0);
    }
    const Batch b = to_device(batches[size_t(micro)], config_.device);
    const Pass pass{.training = true,
                    .seed = uint64_t(config_.train.seed),
                    .step = uint64_t(state_.step),
                    .first_row = (first_micro_batch() + micro) * config_.train.batch};
    const Tensor sum = (Trace("forward", "micro_batch", micro), model_->loss(b.ids, b.labels, b.segments, pass));
    Trace("backward", "micro_batch", micro), backward(sum, last ? reducer_->hook() : LeafHook());
    losses.back() += (Trace("read the loss", "micro_batch", micro), sum.item());
    sums.tokens += b.labels.numel();
    if (last_of_slot) parameters_.finish_gradients();
    if (last_of_slot && !last) reducer_->finish_slot();
  }
  reducer_->finish();
  sums.loss = tree_sum(losses);
  return sums;
}

StepReport Run::step(int stop) {
  ranks_.set_step(state_.step + 1);
  saving_->check();
  if (!prefetch_)
    prefetch_ = std::make_unique<Prefetch<StepBatches>>([this](int64_t step) { return make_step(step); }, state_.step);
  const Trace trace("step", "step", state_.step + 1);
  const double start = now();
  const StepBatches batches = (Trace("wait for data"), prefetch_->next());
  StepSums sums = accumulate(batches);
  sums.stop = stop;
  sums.warned = warnings_wait();
  sums.parts_done = saving_->part_done();
  sums.chunk_norms = (Trace("norms"), optimizer_->chunk_norms(shards_->of(ranks_.rank())));
  sums = sum_over_ranks(ranks_, *shards_, sums);
  saving_->heard(sums.parts_done);

  StepReport report{.step = state_.step + 1,
                    .learning_rate = config_.learning_rate.at(state_.step, config_.train.steps),
                    .tokens = sums.tokens,
                    .stop = int(sums.stop),
                    .warned = sums.warned > 0};
  const double mean = 1 / double(sums.tokens);
  report.loss = sums.loss * mean;
  report.gradient_norm = mean * std::sqrt(std::accumulate(sums.chunk_norms.begin(), sums.chunk_norms.end(), 0.0));
  if (!std::isfinite(report.loss) || !std::isfinite(report.gradient_norm)) fail_not_finite(report);
  // The factor of torch.nn.utils.clip_grad_norm_.
  const double clip =
      config_.optimizer.clip > 0 ? std::min(1.0, config_.optimizer.clip / (report.gradient_norm + 1e-6)) : 1;
  Trace("update"), optimizer_->update(report.learning_rate, mean * clip, state_.step);
  if (sharded()) reducer_->gather_weights();

  ++state_.step;
  state_.tokens += report.tokens;
  report.seconds = now() - start;
  return report;
}

// All ranks come here together, since their figures are the same.
void Run::fail_not_finite(const StepReport& report) const {
  // One rank's damaged weight has by now spoiled the gradients of all: a cause goes before its consequences.
  std::vector<std::string> found = gather(ranks_, "search for what is not finite", find_not_finite(parameters_));
  std::erase(found, "");
  const auto cause =
      std::find_if(found.begin(), found.end(), [](const auto& s) { return s.starts_with("the weights"); });
  const std::string what = found.empty() ? "none of them" : cause != found.end() ? *cause : found[0];
  fail<Exit::numerical>("step ", report.step, ": the loss is ", report.loss, " and the gradient norm ",
                        report.gradient_norm, "; the first value that is not finite is in ", what,
                        ". The weights are those of step ", state_.step,
                        "; a lower learning rate, a longer warmup or a smaller optimizer.clip may help");
}

Evaluation Run::evaluate() const {
  return hinoki::evaluate(*model_, validation_, config_.data.sequence, config_.log.evaluate_sequences,
                          config_.train.batch, ranks_);
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

double Run::start_saving(std::function<void()> before_publishing) {
  return saving_->start(state_, std::move(before_publishing));
}

std::string Run::save() {
  start_saving();
  finish_saving();
  const auto saved = this->saved();
  return saved ? saved->path : "";
}

}  // namespace hinoki
