#include "train/gpt_task.h"

#include "core/base/in_quotes.h"
#include "data/token_shard.h"
#include "train/batch.h"
#include "train/evaluation.h"
#include "train/gpt_plan.h"
#include "train/model_folder.h"
#include "train/progress.h"

namespace hinoki {
namespace {

struct GptExamples : Examples {
  Batch batch;
};

std::unique_ptr<TokenCorpus> open_validation(const DataConfig& data, size_t number, const std::string& tokenizer_hash) {
  const std::string& path = data.corpora[number].path;
  std::unique_ptr<TokenCorpus> split;
  if (std::filesystem::exists(shard_path(path, "validation", 0)))
    split = std::make_unique<TokenCorpus>(path, "validation", tokenizer_hash);
  const int64_t tokens = split ? split->tokens() : 0;
  require<Exit::data>(
      tokens > data.sequence, path, ": its validation split has ", tokens, " tokens, one sequence needs ",
      data.sequence + 1, "; prepare more text, raise the validation fraction, train on shorter sequences",
      data.corpora.size() > 1 ? say(", or leave it out with data.corpora.", number, ".validate=false") : "");
  return split;
}

std::string figures_of(const Evaluation& e) {
  char text[160];
  std::snprintf(text, sizeof text, "%.4f nats/token, perplexity %.1f, %.3f bits/character (%s tokens)",
                e.nats_per_token, e.perplexity, e.bits_per_character, grouped(e.tokens).c_str());
  return text;
}

// `of`: whose they are; empty: of all that is validated.
void add_scalars(std::vector<Scalar>& scalars, const Evaluation& e, const std::string& of = "") {
  scalars.push_back({"validation/loss" + of, e.nats_per_token});
  scalars.push_back({"validation/perplexity" + of, e.perplexity});
  scalars.push_back({"validation/bits_per_character" + of, e.bits_per_character});
}

}  // namespace

std::string heading_of(const GptConfig& c) {
  return say(c.model.architecture, ", ", c.model.layers(), " layers, width ", c.model.width(), ", vocabulary ",
             grouped(c.model.vocab_size()), ", sequences of ", c.data.sequence, " tokens",
             c.adapts() ? say(", adapters of rank ", c.lora.rank) : "");
}

Plan plan_of(const GptConfig& c) {
  return plan_pass({.model = c.model,
                    .batch = c.train.batch,
                    .sequence = c.data.sequence,
                    .recompute = c.train.recompute,
                    .dtype = c.dtype(),
                    .lora = c.lora,
                    .device = c.device});
}

Throughput throughput_of(const GptConfig& c) {
  return {.one = "token",
          .many = "tokens",
          .unit = "tok/s",
          .metric = "tokens_per_second",
          .step = double(c.step_tokens()),
          .flops = token_cost(c.model, c.data.sequence, !c.adapts()).total(),
          .made_of = say(c.train.micro_batches, " micro-batches x ", c.train.batch, " sequences x ", c.data.sequence)};
}

double epoch_of(const GptConfig& config) {
  double tokens = 0;
  for (const CorpusConfig& c : config.data.corpora) {
    if (!is_directory(c.path)) return 0;
    tokens += double(TokenCorpus(c.path, "train", "").tokens());
  }
  return tokens;
}

std::unique_ptr<Task> task_of(const GptConfig& config, Parameters& parameters) {
  return std::make_unique<GptTask>(config, parameters);
}

GptTask::GptTask(const GptConfig& config, Parameters& parameters)
    : config_(config), tokenizer_(Tokenizer::load(config.data.tokenizer)) {
  require<Exit::usage>(tokenizer_.size() <= config.model.vocab_size(), "the tokenizer ", config.data.tokenizer, " has ",
                       tokenizer_.size(), " pieces, more than model.vocab_size = ", config.model.vocab_size());
  std::vector<BlendPart> parts;
  for (size_t k = 0; k < config.data.corpora.size(); ++k) {
    const CorpusConfig& c = config.data.corpora[k];
    corpora_.push_back(std::make_unique<TokenCorpus>(c.path, "train", tokenizer_.hash()));
    parts.push_back({corpora_.back().get(), c.weight});
    if (c.validate) held_out_.push_back({c, open_validation(config.data, k, tokenizer_.hash())});
  }
  batches_.emplace(std::move(parts), config.data.sequence, uint64_t(config.train.seed));
  model_ = make_model(config.model, parameters);
  model_->recompute = config.train.recompute;
}

std::optional<int32_t> GptTask::border() const {
  return config_.data.reset_attention ? std::optional(tokenizer_.eos()) : std::nullopt;
}

std::unique_ptr<Examples> GptTask::examples(int64_t step, int64_t first, int64_t rows) const {
  auto made = std::make_unique<GptExamples>();
  const int64_t before = step * config_.step_rows() + first;
  made->batch = make_batch(rows, config_.data.sequence,
                           [&](int64_t row, std::span<int32_t> tokens) { batches_->fill(before + row, tokens); });
  if (border()) add_segments(made->batch, *border());
  made->targets = made->batch.labels.numel();
  return made;
}

Tensor GptTask::loss(const Examples& examples, const Pass& pass) const {
  const Batch b = to_device(static_cast<const GptExamples&>(examples).batch, config_.device);
  return model_->loss(b.ids, b.labels, b.segments, pass);
}

Validation GptTask::validate(Communicator& ranks) const {
  const EvaluationOptions options{.length = config_.data.sequence,
                                  .sequences = config_.log.evaluate_sequences,
                                  .batch = config_.train.batch,
                                  .border = border()};
  std::vector<Evaluation> parts;
  std::vector<double> weights;
  for (const HeldOut& h : held_out_) {
    parts.push_back(evaluate(*model_, *h.split, options, ranks));
    weights.push_back(h.of.weight);
  }
  const Evaluation all = blended(parts, weights);
  Validation v{.loss = all.nats_per_token, .text = figures_of(all), .scalars = {}};
  add_scalars(v.scalars, all);
  for (size_t k = 0; parts.size() > 1 && k < parts.size(); ++k) {
    v.text += say("\n  | ", held_out_[k].of.path, ": ", figures_of(parts[k]));
    add_scalars(v.scalars, parts[k], "/" + held_out_[k].of.path);
  }
  return v;
}

std::vector<int32_t> GptTask::prompt_ids(const std::string& prompt) const {
  const std::vector<int32_t> ids = tokenizer_.encode(prompt);
  return ids.empty() && tokenizer_.eos() >= 0 ? std::vector{tokenizer_.eos()} : ids;  // what a document begins after
}

GenerationOptions GptTask::sample_options(int64_t step) const {
  return {.sampling = {.temperature = 0.8, .top_p = 0.95, .seed = uint64_t(config_.train.seed) + uint64_t(step)},
          .max_tokens = config_.samples.tokens,
          .end = tokenizer_.eos(),
          .usable_vocab = tokenizer_.size()};
}

std::vector<std::string> GptTask::samples(int64_t step) const {
  std::vector<std::string> texts;
  if (config_.samples.tokens == 0) return texts;
  for (const std::string& prompt : config_.samples.prompts)
    texts.push_back(prompt + tokenizer_.decode(generate(*model_, prompt_ids(prompt), sample_options(step))));
  return texts;
}

void GptTask::check_end() const {
  for (const std::string& prompt : config_.samples.prompts) try {
      check_generation(*model_, prompt_ids(prompt), sample_options(0));
    } catch (const Error& e) {
      throw Error(e.code, say("samples.prompts: ", in_quotes(prompt), ": ", e.what()));
    }
}

void GptTask::check_snapshot(const std::string& folder) const { require_same_tokenizer(folder, tokenizer_); }

std::function<void(const std::string& folder)> GptTask::model_texts() const {
  const ModelFolder model{.config = {config_.model, special_ids(tokenizer_)},
                          .dtype = config_.dtype(),
                          .tokenizer = Tokenizer::model_path(config_.data.tokenizer).string(),
                          .card = ""};
  return [model](const std::string& folder) { write_model_texts(folder, model); };
}

}  // namespace hinoki
