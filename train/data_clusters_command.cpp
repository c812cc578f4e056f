// hinoki data clusters: a speech corpus to a codebook.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <memory>

#include "core/base/parallel.h"
#include "train/codebook_fit.h"
#include "train/commands.h"

namespace hinoki {
namespace {

void print_codebook(const FittedCodebook& fitted, const ClusterSettings& a) {
  const auto& [codebook, found] = fitted;
  std::printf("codebook    %s: %lld clusters of %s at %lld frames a second\n", a.output.c_str(),
              static_cast<long long>(codebook.clusters), codebook.features.c_str(),
              static_cast<long long>(codebook.rate));
  std::printf("hash        %s\n", codebook.hash().c_str());
  std::printf("distance    %.6g (mean square, last batch)\n", found.inertia);
  std::printf("usage       entropy %.4f nats of %.4f, perplexity %.1f; %lld clusters are empty\n", found.entropy,
              std::log(double(codebook.clusters)), std::exp(found.entropy), static_cast<long long>(found.empty));
}

void make_codebook(const ClusterSettings& a) {
  const std::unique_ptr<Communicator> ranks = join_ranks();
  if (!ranks->alone()) set_default_threads(threads_of_a_rank());
  try {
    const FittedCodebook fitted = fit_codebook(*ranks, a);
    if (ranks->first()) print_codebook(fitted, a);
  } catch (const Error& e) {
    ranks->leave(e);
    throw;
  }
}

}  // namespace

void add_data_clusters_command(CLI::App& data) {
  CLI::App* clusters = data.add_subcommand("clusters", "A speech corpus to a codebook of k-means centres");
  auto a = std::make_shared<ClusterSettings>();
  clusters->add_option("corpus", a->corpus, "The folder that `hinoki data speech` made")
      ->type_name("FOLDER")
      ->required();
  clusters->add_option("--out", a->output, "The codebook to write")->type_name("FILE")->required();
  clusters->add_option("--features", a->features, "What a frame is made of: mfcc, or hubert:FOLDER:layer=N")->capture_default_str();
  const auto count = [&](const char* name, int64_t& value, const char* text) {
    clusters->add_option(name, value, text)->check(CLI::PositiveNumber)->capture_default_str();
  };
  count("--clusters", a->clusters, "Centres to find");
  count("--frames", a->frames, "Frames to draw, in memory for as long as it runs");
  count("--batch", a->batch, "Frames that a batch moves the centres by");
  count("--batches", a->batches, "Batches to run");
  clusters->add_option(
      "--slots", a->slots,
      "Parts that add up one by one, a power of two: with the same, any number of ranks makes the same "
      "codebook (default: the number of ranks)");
  clusters->add_option("--seed", a->seed, "The same seed draws the same frames")->capture_default_str();
  clusters->add_flag("--overwrite", a->overwrite, "Replace a codebook that is there");
  clusters->callback([a] { make_codebook(*a); });
}

}  // namespace hinoki
