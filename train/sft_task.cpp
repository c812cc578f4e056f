#include "train/sft_task.h"

#include <algorithm>
#include <cmath>

#include "core/base/in_quotes.h"
#include "core/base/log.h"
#include "train/evaluation.h"
#include "train/gpt_plan.h"
#include "train/model_folder.h"
#include "train/progress.h"

namespace hinoki {
namespace {

struct SftExamples : Examples {
  Tensor ids, segments;  // i32 [rows, length]
  LabelledRows labelled;
};

template <class Fill>
std::unique_ptr<SftExamples> make_rows(int64_t count, int64_t length, const Fill& fill) {
  auto made = std::make_unique<SftExamples>();
  made->ids = empty({count, length}, DType::i32);
  made->segments = empty({count, length}, DType::i32);
  const Tensor labels = empty({count, length}, DType::i32);
  const auto row_of = [&](const Tensor& t, int64_t row) {
    return std::span(t.as<int32_t>() + row * length, size_t(length));
  };
  for (int64_t row = 0; row < count; ++row)
    fill(row, ChatRows::Row{row_of(made->ids, row), row_of(labels, row), row_of(made->segments, row)});
  made->labelled = find_labelled(labels);
  made->targets = made->labelled.count();
  return made;
}

}  // namespace

std::string heading_of(const SftConfig& c) {
  return say("answers of a ", c.model.architecture, ", ", c.model.layers(), " layers, width ", c.model.width(),
             ", vocabulary ", grouped(c.model.vocab_size()), ", rows of ", c.data.sequence, " tokens",
             c.adapts() ? say(", adapters of rank ", c.lora.rank) : "");
}

Plan plan_of(const SftConfig& c) {
  return plan_pass({.model = c.model,
                    .batch = c.train.batch,
                    .sequence = c.data.sequence,
                    .recompute = c.train.recompute,
                    .dtype = c.dtype(),
                    .lora = c.lora,
                    .device = c.device});
}

namespace {

struct Amount {
  double places = 0;   // of tokens, in all rows
  double learned = 1;  // the share of them that something is learned at
};

// Unknown while the data has not been prepared.
Amount amount_of(const SftConfig& c) {
  if (!is_file(chat_corpus_path(c.data.path, "train"))) return {};
  const ChatCorpus corpus(c.data.path, "train", kConversations, "");
  const ChatRows rows(corpus, c.data.rules(), 0);
  const auto places = double(rows.count() * c.data.sequence);
  double learned = 0;
  for (int64_t row = 0; row < rows.count(); ++row) learned += double(rows.targets(row));
  return {.places = places, .learned = learned / places};
}

}  // namespace

Throughput throughput_of(const SftConfig& c) {
  return {.one = "token",
          .many = "tokens",
          .unit = "tok/s",
          .metric = "tokens_per_second",
          .step = double(c.step_tokens()),
          .flops = token_cost(c.model, c.data.sequence, !c.adapts(), amount_of(c).learned).total(),
          .made_of = say(c.train.micro_batches, " micro-batches x ", c.train.batch, " rows x ", c.data.sequence)};
}

double epoch_of(const SftConfig& c) { return amount_of(c).places; }

std::unique_ptr<Task> task_of(const SftConfig& config, Parameters& parameters) {
  return std::make_unique<SftTask>(config, parameters);
}

SftTask::SftTask(const SftConfig& config, Parameters& parameters)
    : config_(config),
      tokenizer_(Tokenizer::load(config.data.path)),
      corpus_(config.data.path, "train", kConversations, tokenizer_.hash()),
      validation_corpus_(config.data.path, "validation", kConversations, tokenizer_.hash()),
      template_(ChatTemplate::named(corpus_.info().chat_template)),
      rows_(corpus_, config.data.rules(), uint64_t(config.train.seed)),
      validation_(validation_corpus_, config.data.rules(), 0) {
  require_fits(tokenizer_, config.model, config.start_from);
  model_ = make_model(config.model, parameters);
  model_->recompute = config.train.recompute;
  tell_data();
}

void SftTask::tell_data() const {
  inform("conversations: ", corpus_.count(), " in ", rows_.count(), " rows of ", config_.data.sequence, " tokens (",
         std::lround(100 * rows_.filled()), " % filled), ", grouped(corpus_.targets()), " of ",
         grouped(corpus_.tokens()), " tokens are learned; ", validation_corpus_.count(), " held out");
  if (rows_.dropped() + rows_.truncated() > 0)
    warn(rows_.dropped(), " conversations are longer than a row and left out, ", rows_.truncated(),
         " lose what they begin with");
  inform("learned is what stands in brackets, of the first conversation:\n", show_example(corpus_, 0, tokenizer_));
}

std::string show_example(const ChatCorpus& corpus, int64_t example, const Tokenizer& tokenizer) {
  const std::span<const int32_t> ids = corpus.ids(example);
  std::string text;
  int32_t at = 0;
  for (const Answer& a : corpus.answers(example)) {
    text += tokenizer.decode(ids.subspan(size_t(at), size_t(a.begin - at)));
    text += "⟦" + tokenizer.decode(ids.subspan(size_t(a.begin), size_t(a.end - a.begin))) +
            tokenizer.piece(corpus.info().end) + "⟧";
    at = a.end;
  }
  return text + tokenizer.decode(ids.subspan(size_t(at)));
}

std::unique_ptr<Examples> SftTask::examples(int64_t step, int64_t first, int64_t rows) const {
  const int64_t before = step * config_.step_rows() + first;
  return make_rows(rows, config_.data.sequence,
                   [&](int64_t row, const ChatRows::Row& out) { rows_.fill(before + row, out); });
}

Tensor SftTask::loss(const Examples& examples, const Pass& pass) const {
  const auto& e = static_cast<const SftExamples&>(examples);
  const Device device = config_.device;
  return model_->loss(to_device(e.ids, device), to_device(e.labelled, device), to_device(e.segments, device), pass);
}

Validation SftTask::validate(Communicator& ranks) const {
  const NoGrad no_grad;
  const int64_t most = config_.log.evaluate_sequences, batch = config_.train.batch;
  const int64_t count = most ? std::min(most, validation_.count()) : validation_.count();
  std::vector<double> mine;
  int64_t targets = 0;
  for (int64_t row = 0; row < count; ++row) targets += validation_.targets(row);
  for (int64_t i = ranks.rank() * batch; i < count; i += ranks.size() * batch) {
    const auto rows = make_rows(std::min(batch, count - i), config_.data.sequence,
                                [&](int64_t row, const ChatRows::Row& out) { validation_.fill_row(i + row, out); });
    mine.push_back(loss(*rows, {}).item());
  }
  const double nats = sum_in_order(ranks, mine, (count + batch - 1) / batch) / double(targets);
  require<Exit::numerical>(std::isfinite(nats), config_.data.path, ": the loss is ", nats,
                           ": the model's weights are damaged");
  char text[120];
  std::snprintf(text, sizeof text, "%.4f nats/token of held-out answers, perplexity %.1f (%s tokens)", nats,
                std::exp(nats), grouped(targets).c_str());
  return {
      .loss = nats, .text = text, .scalars = {{"validation/loss", nats}, {"validation/perplexity", std::exp(nats)}}};
}

// A conversation as `hinoki chat` has it, with room for samples.prompts one by one.
Dialogue SftTask::interview(int64_t step) const {
  const GenerationOptions options{
      .sampling = {.temperature = 0.7, .top_p = 0.95, .seed = uint64_t(config_.train.seed) + uint64_t(step)},
      .max_tokens = config_.samples.tokens,
      .end = tokenizer_.eos(),
      .usable_vocab = tokenizer_.size()};
  size_t longest = 0;
  for (const std::string& question : config_.samples.prompts)
    longest = std::max(longest, template_.prompt({{Speaker::user, question}}, tokenizer_).size());
  const int64_t room = int64_t(longest) + std::min(options.max_tokens, model_->max_positions());
  return {*model_, tokenizer_, template_, options, {}, room};
}

std::vector<std::string> SftTask::samples(int64_t step) const {
  std::vector<std::string> texts;
  if (config_.samples.tokens == 0 || config_.samples.prompts.empty()) return texts;
  Dialogue talk = interview(step);
  const std::atomic<bool> interrupted{false};
  for (const std::string& question : config_.samples.prompts) {
    talk.reset();
    talk.say(question, [](const std::string&) {}, interrupted);
    texts.push_back(question + "\n" + talk.last_answer());
  }
  return texts;
}

void SftTask::check_end() const {
  if (config_.samples.tokens == 0 || config_.samples.prompts.empty()) return;
  const Dialogue talk = interview(0);
  for (const std::string& question : config_.samples.prompts) try {
      talk.check(question);
    } catch (const Error& e) {
      throw Error(e.code, say("samples.prompts: ", in_quotes(question), ": ", e.what()));
    }
}

void SftTask::check_snapshot(const std::string& folder) const { require_same_tokenizer(folder, tokenizer_); }

std::function<void(const std::string& folder)> SftTask::model_texts() const {
  const ModelFolder model{.config = {config_.model, special_ids(tokenizer_)},
                          .dtype = config_.dtype(),
                          .tokenizer = Tokenizer::model_path(config_.data.path).string(),
                          .card = "",
                          .chat_template = template_.jinja()};
  return [model](const std::string& folder) { write_model_texts(folder, model); };
}

}  // namespace hinoki
