// hinoki eval: how well a model predicts a prepared corpus, beside what counting alone predicts.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "data/ngram.h"
#include "data/tokenizer.h"
#include "train/commands.h"
#include "train/evaluation.h"
#include "train/model_folder.h"
#include "train/progress.h"

namespace hinoki {
namespace {

struct EvalOptions {
  std::string model, corpus, split = "validation";
  int64_t sequence = 256, sequences = 0, batch = 8;
  bool ngrams = true, reset_attention = false;
  Placement where;
};

void print_evaluation(const char* name, const Evaluation& e, double unigram) {
  std::printf("%-22s %7.4f nats/token  perplexity %9.1f  %6.3f bits/character", name, e.nats_per_token, e.perplexity,
              e.bits_per_character);
  if (unigram > 0) std::printf("  %+6.1f %% of the unigram model", 100 * (e.nats_per_token / unigram - 1));
  std::printf("\n");
}

void evaluate_model(const EvalOptions& o) {
  const LoadedModel loaded = open_model(o.model, o.where);
  const Tokenizer tokenizer = open_tokenizer(o.model, loaded);
  const TokenCorpus held_out(o.corpus, o.split, tokenizer.hash());
  const int64_t sequence = std::min(o.sequence, loaded.model->max_positions());
  EvaluationOptions options{.length = sequence, .sequences = o.sequences, .batch = o.batch, .border = {}};
  if (o.reset_attention) options.border = tokenizer.eos();
  Solo alone;
  const Evaluation model = evaluate(*loaded.model, held_out, options, alone);
  std::printf("%s, split %s: %s tokens in sequences of %lld\n", o.corpus.c_str(), o.split.c_str(),
              grouped(model.tokens).c_str(), (long long)sequence);
  double unigram = 0;
  if (o.ngrams) {
    const TokenCorpus training(o.corpus, "train", tokenizer.hash());
    const Ngrams ngrams(training);
    std::vector<int32_t> tokens(size_t(model.tokens) + 1);  // those that the model had to predict, and the one before
    held_out.read(0, tokens);
    const NgramNats nats = ngrams.evaluate(tokens);
    unigram = nats.unigram;
    print_evaluation("unigram frequencies", as_evaluation(held_out, nats.unigram * double(nats.tokens), nats.tokens),
                     0);
    print_evaluation("interpolated bigrams", as_evaluation(held_out, nats.bigram * double(nats.tokens), nats.tokens),
                     unigram);
  }
  print_evaluation("this model", model, unigram);
}

}  // namespace

void add_eval_command(CLI::App& app) {
  auto* command = app.add_subcommand("eval", "Perplexity and bits per character of a model over a prepared corpus");
  auto o = std::make_shared<EvalOptions>();
  command->add_option("model", o->model, "Snapshot or Hugging Face folder with a tokenizer")
      ->type_name("FOLDER")
      ->required();
  command->add_option("--corpus", o->corpus, "Folder that `hinoki data text` made with the same tokenizer")
      ->type_name("FOLDER")
      ->required();
  command->add_option("--split", o->split, "The part of the corpus: validation or train")
      ->type_name("NAME")
      ->capture_default_str();
  command->add_option("--sequence", o->sequence, "Tokens of a sequence")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->add_option("--sequences", o->sequences, "Sequences from the beginning of the split; 0: all")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  command->add_option("--batch", o->batch, "Sequences at a time; more need more memory")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->add_flag("--reset-attention", o->reset_attention,
                    "Let attention begin anew with each document, as data.reset_attention does in training");
  add_placement_options(*command, o->where);
  command->add_flag_callback(
      "--no-ngrams", [o] { o->ngrams = false; },
      "Leave out the unigram and bigram models counted on the training split");
  command->callback([o] { evaluate_model(*o); });
}

}  // namespace hinoki
