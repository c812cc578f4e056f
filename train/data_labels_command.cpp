// hinoki data labels: a speech corpus and a codebook to labels.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <memory>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/parallel.h"
#include "train/codebook_fit.h"
#include "train/commands.h"
#include "train/run_lock.h"

namespace hinoki {
namespace {

struct LabelArguments {
  std::string features = "mfcc";
  LabelPreparation settings;
};

void print_label_split(const char* name, const LabelSplitReport& s, const LabelOrigin& origin) {
  if (s.utterances == 0) return;
  const LabelUsage usage = usage_of(s.counts);
  std::printf("%-11s %lld labels of %lld utterances, %lld shards (%lld were there)\n", name, Count(s.labels),
              Count(s.utterances), Count(s.shards), Count(s.reused));
  std::printf("  usage     entropy %.4f nats of %.4f, perplexity %.1f; %lld of %lld clusters occur, the commonest in "
              "%.1f %%\n",
              usage.entropy, std::log(double(origin.clusters)), std::exp(usage.entropy), Count(usage.used),
              Count(origin.clusters), 100 * usage.commonest);
}

void print_label_report(const LabelReport& r, const std::string& output, double seconds) {
  if (r.reused)
    std::printf("%s already holds these labels (same speech, same codebook)\n", output.c_str());
  else
    std::printf("labels      %s, in %.2f s: %.0f times real time\n", output.c_str(), seconds,
                double(r.train.labels + r.validation.labels) / double(r.origin.rate) / seconds);
  std::printf("codebook    %s: %lld clusters of %s at %lld labels a second\n", r.origin.codebook.c_str(),
              Count(r.origin.clusters), r.origin.features.c_str(), Count(r.origin.rate));
  print_label_split("train", r.train, r.origin);
  print_label_split("validation", r.validation, r.origin);
  if (r.origin.clusters > 1 && usage_of(r.train.counts).used < 2)
    warn("all labels are the same: there is nothing to learn from them");
}

void label_with(const LabelArguments& a, Communicator& ranks) {
  const std::string output = a.settings.output.string();
  std::optional<RunLock> lock;
  together(ranks, "the folder of labels", [&] {
    if (!ranks.first()) return;
    make_directory(output);
    lock.emplace(output);
  });
  const double begun = steady_seconds();
  const LabelReport report = make_labels(ranks, a.settings, a.features);
  if (ranks.first()) print_label_report(report, output, steady_seconds() - begun);
}

void label_corpus(const LabelArguments& a) {
  const std::unique_ptr<Communicator> ranks = join_ranks();
  collect_warnings(!ranks->first());
  if (!ranks->alone()) set_default_threads(threads_of_a_rank());
  try {
    label_with(a, *ranks);
  } catch (const Error& e) {
    ranks->leave(e);
    throw;
  }
}

}  // namespace

void add_data_labels_command(CLI::App& data) {
  CLI::App* labels = data.add_subcommand("labels", "Speech and a codebook to labels, beside the corpus's shards");
  auto a = std::make_shared<LabelArguments>();
  labels->add_option("corpus", a->settings.corpus, "The folder that `hinoki data speech` made")
      ->type_name("FOLDER")
      ->required();
  labels->add_option("--codebook", a->settings.codebook, "The file that `hinoki data clusters` made")
      ->type_name("FILE")
      ->required();
  labels->add_option("--output", a->settings.output, "The folder for shards of labels and prepare.json")
      ->type_name("FOLDER")
      ->required();
  labels->add_option("--features", a->features, "What the codebook was made of: mfcc, or hubert:FOLDER:layer=N (default: mfcc)");
  labels
      ->add_option("--silence-dbfs", a->settings.silence_dbfs,
                   "Windows of 20 ms that are quieter are silence (RMS, dB of full scale), of which training warns")
      ->capture_default_str();
  labels->add_flag("--overwrite", a->settings.overwrite, "Replace finished labels that were made otherwise");
  labels->callback([a] { label_corpus(*a); });
}

}  // namespace hinoki
