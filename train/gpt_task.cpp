#include "train/gpt_task.h"

#include "core/base/in_quotes.h"
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
    : config_(config),
      tokenizer_(Tokenizer::load(config.data.tokenizer)),
      validation_(config.data.corpora.at(0).path, "validation", tokenizer_.hash()) {
  require<Exit::usage>(tokenizer_.size() <= config.model.vocab_size(), "the tokenizer ", config.data.tokenizer, " has ",
                       tokenizer_.size(), " pieces, more than model.vocab_size = ", config.model.vocab_size());
  std::vector<BlendPart> parts;
  for (const CorpusConfig& c : config.data.corpora) {
    corpora_.push_back(std::make_unique<TokenCorpus>(c.path, "train", tokenizer_.hash()));
    parts.push_back({corpora_.back().get(), c.weight});
  }
  batches_.emplace(std::move(parts), config.data.sequence, uint64_t(config.train.seed));
  model_ = make_model(config.model, parameters);
  model_->recompute = config.train.recompute;
}

std::unique_ptr<Examples> GptTask::examples(int64_t step, int64_t first, int64_t rows) const {
  auto made = std::make_unique<GptExamples>();
  const int64_t before = step * config_.step_rows() + first;
  made->batch = make_batch(rows, config_.data.sequence,
                           [&](int64_t row, std::span<int32_t> tokens) { batches_->fill(before + row, tokens); });
  if (config_.data.reset_attention) add_segments(made->batch, tokenizer_.eos());
  made->targets = made->batch.labels.numel();
  return made;
}

Tensor GptTask::loss(const Examples& examples, const Pass& pass) const {
  const Batch b = to_device(static_cast<const GptExamples&>(examples).batch, config_.device);
  return model_->loss(b.ids, b.labels, b.segments, pass);
}

Validation GptTask::validate(Communicator& ranks) const {
  const Evaluation e =
      evaluate(*model_, validation_, config_.data.sequence, config_.log.evaluate_sequences, config_.train.batch, ranks);
  char text[160];
  std::snprintf(text, sizeof text, "%.4f nats/token, perplexity %.1f, %.3f bits/character (%s tokens)",
                e.nats_per_token, e.perplexity, e.bits_per_character, grouped(e.tokens).c_str());
  return {.loss = e.nats_per_token,
          .text = text,
          .scalars = {{"validation/loss", e.nats_per_token},
                      {"validation/perplexity", e.perplexity},
                      {"validation/bits_per_character", e.bits_per_character}}};
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
  const Windows windows(validation_, config_.data.sequence);
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
