// hinoki data clusters: a speech corpus to a codebook.
#include <CLI/CLI.hpp>
#include <bit>
#include <cmath>
#include <cstdio>
#include <memory>

#include "core/base/parallel.h"
#include "data/codebook.h"
#include "train/commands.h"
#include "train/frame_sample.h"
#include "train/k_means.h"

namespace hinoki {
namespace {

struct Arguments {
  std::string corpus, output, features = "mfcc";
  int64_t clusters = 100, frames = 2'000'000, batch = 8192, batches = 1000, slots = 0;
  uint64_t seed = 0;
};

void print(const Codebook& codebook, const KMeans& found, const Arguments& a) {
  std::printf("codebook    %s: %lld clusters of %s at %lld frames a second\n", a.output.c_str(),
              static_cast<long long>(codebook.clusters), codebook.features.c_str(),
              static_cast<long long>(codebook.rate));
  std::printf("hash        %s\n", codebook.hash().c_str());
  std::printf("distance    %.6g (mean square, last batch)\n", found.inertia);
  std::printf("usage       entropy %.4f nats of %.4f, perplexity %.1f; %lld clusters are empty\n", found.entropy,
              std::log(double(codebook.clusters)), std::exp(found.entropy), static_cast<long long>(found.empty));
}

void fit(const Arguments& a, Communicator& ranks) {
  std::unique_ptr<SpeechCorpus> corpus;
  std::unique_ptr<FrameFeatures> features;
  std::vector<std::vector<float>> mine;
  together(ranks, "drawing frames", [&] {
    require<Exit::usage>(a.clusters <= kMostClusters, "--clusters ", a.clusters, ": at most ", kMostClusters);
    const int64_t slots = a.slots > 0 ? a.slots : int64_t(std::bit_ceil(uint64_t(ranks.size())));
    require<Exit::usage>(std::has_single_bit(uint64_t(slots)) && slots % ranks.size() == 0, "--slots ", slots,
                         ": a power of two that ", ranks.size(), " ranks divide");
    corpus = std::make_unique<SpeechCorpus>(a.corpus, "train");
    features = open_features(a.features, *corpus);
    mine = draw_frames(ranks, *features, {.frames = a.frames, .slots = slots, .seed = a.seed});
  });
  const KMeans found = fit_k_means(ranks, mine,
                                   {.clusters = a.clusters,
                                    .dim = features->dim(),
                                    .batch_rows = a.batch,
                                    .batches = a.batches,
                                    .seeding_rows = 16384,
                                    .seed = a.seed});
  together(ranks, "writing the codebook", [&] {
    if (!ranks.first()) return;
    const Codebook codebook{.features = features->kind(),
                            .rate = features->rate(),
                            .clusters = a.clusters,
                            .dim = features->dim(),
                            .corpus = corpus->hash(),
                            .centres = found.centres};
    write_codebook(a.output, codebook);
    print(codebook, found, a);
  });
}

void run(const Arguments& a) {
  const std::unique_ptr<Communicator> ranks = join_ranks();
  if (!ranks->alone()) set_default_threads(threads_of_a_rank());
  try {
    fit(a, *ranks);
  } catch (const Error& e) {
    ranks->leave(e);
    throw;
  }
}

}  // namespace

void add_data_clusters_command(CLI::App& data) {
  CLI::App* clusters = data.add_subcommand("clusters", "A speech corpus to a codebook of k-means centres");
  auto a = std::make_shared<Arguments>();
  clusters->add_option("corpus", a->corpus, "The folder that `hinoki data speech` made")->required();
  clusters->add_option("--out", a->output, "The codebook to write")->required();
  clusters->add_option("--features", a->features, "What a frame is made of: mfcc")->capture_default_str();
  const auto count = [&](const char* name, int64_t& value, const char* text) {
    clusters->add_option(name, value, text)->check(CLI::PositiveNumber)->capture_default_str();
  };
  count("--clusters", a->clusters, "Centres to find");
  count("--frames", a->frames, "Frames to draw, in memory for as long as it runs");
  count("--batch", a->batch, "Frames of a batch");
  count("--batches", a->batches, "Batches to run");
  clusters->add_option(
      "--slots", a->slots,
      "Parts that add up one by one, a power of two: with the same, any number of ranks makes the same "
      "codebook (default: the number of ranks)");
  clusters->add_option("--seed", a->seed, "Of what is drawn")->capture_default_str();
  clusters->callback([a] { run(*a); });
}

}  // namespace hinoki
