// hinoki data labels: a speech corpus and a codebook to labels.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>

#include "core/base/file.h"
#include "core/base/log.h"
#include "data/label_prepare.h"
#include "train/commands.h"
#include "train/run_lock.h"

namespace hinoki {
namespace {

using Count = long long;  // what printf takes

struct Arguments {
  std::string features;
  LabelPreparation settings;
};

void print_split(const char* name, const LabelSplitReport& s, const LabelOrigin& origin) {
  if (s.utterances == 0) return;
  const LabelUsage usage = usage_of(s.counts);
  std::printf("%-11s %lld labels of %lld utterances, %lld shards (%lld were there)\n", name, Count(s.labels),
              Count(s.utterances), Count(s.shards), Count(s.reused));
  std::printf("  usage     entropy %.4f nats of %.4f, perplexity %.1f; %lld of %lld clusters occur, the commonest in "
              "%.1f %%\n",
              usage.entropy, std::log(double(origin.clusters)), std::exp(usage.entropy), Count(usage.used),
              Count(origin.clusters), 100 * usage.commonest);
}

void run(Arguments& a) {
  a.settings.features = [&](const SpeechCorpus& corpus) {
    return open_features(a.features.empty() ? read_codebook(a.settings.codebook).features : a.features, corpus);
  };
  make_directory(a.settings.output.string());
  const RunLock lock(a.settings.output.string());
  const auto begun = std::chrono::steady_clock::now();
  const LabelReport r = prepare_labels(a.settings);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  const std::string output = a.settings.output.string();
  if (r.reused)
    std::printf("%s already holds these labels (same speech, same codebook)\n", output.c_str());
  else
    std::printf("labels      %s, in %.2f s: %.0f times real time\n", output.c_str(), seconds,
                double(r.train.labels + r.validation.labels) / double(r.origin.rate) / seconds);
  std::printf("codebook    %s: %lld clusters of %s at %lld labels a second\n", r.origin.codebook.c_str(),
              Count(r.origin.clusters), r.origin.features.c_str(), Count(r.origin.rate));
  print_split("train", r.train, r.origin);
  print_split("validation", r.validation, r.origin);
  if (r.origin.clusters > 1 && usage_of(r.train.counts).used < 2)
    warn("all labels are the same: there is nothing to learn from them");
}

}  // namespace

void add_data_labels_command(CLI::App& data) {
  CLI::App* labels = data.add_subcommand("labels", "Speech and a codebook to labels, beside the corpus's shards");
  auto a = std::make_shared<Arguments>();
  labels->add_option("corpus", a->settings.corpus, "The folder that `hinoki data speech` made")->required();
  labels->add_option("--codebook", a->settings.codebook, "The file that `hinoki data clusters` made")->required();
  labels->add_option("--output", a->settings.output, "The folder for shards of labels and prepare.json")->required();
  labels->add_option("--features", a->features, "What the codebook was made of (default: what it says)");
  labels
      ->add_option("--silence-dbfs", a->settings.silence_dbfs,
                   "Windows of 20 ms that are quieter are silence (RMS, dB of full scale), of which training warns")
      ->capture_default_str();
  labels->add_flag("--overwrite", a->settings.overwrite, "Replace finished labels that were made otherwise");
  labels->callback([a] { run(*a); });
}

}  // namespace hinoki
