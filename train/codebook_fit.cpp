#include "train/codebook_fit.h"

#include <bit>
#include <filesystem>

#include "train/layer_features.h"

namespace hinoki {
namespace {

// Before anything is read: ranks that draw other frames, or draw them otherwise, would make a codebook of a mixture.
void check_equal(Communicator& ranks, const ClusterSettings& s, int64_t slots) {
  const std::string mine = say("--features ", s.features, " --clusters ", s.clusters, " --frames ", s.frames, " --batch ",
                               s.batch, " --batches ", s.batches, " --slots ", slots, " --seed ", s.seed);
  const std::vector<std::string> all = gather(ranks, "the settings of clusters", mine);
  for (size_t rank = 0; rank < all.size(); ++rank)
    require<Exit::usage>(all[rank] == all[0], "rank ", rank, " was started with ", all[rank], ", rank 0 with ", all[0],
                         "; start all of them by one command");
}

}  // namespace

FittedCodebook fit_codebook(Communicator& ranks, const ClusterSettings& s) {
  std::unique_ptr<SpeechCorpus> corpus;
  std::unique_ptr<FrameFeatures> features;
  std::vector<std::vector<float>> mine;
  const int64_t slots = s.slots > 0 ? s.slots : int64_t(std::bit_ceil(uint64_t(ranks.size())));
  check_equal(ranks, s, slots);
  together(ranks, "drawing frames", [&] {
    require<Exit::usage>(s.clusters <= kMostClusters, "--clusters ", s.clusters, ": at most ", kMostClusters);
    require<Exit::usage>(s.overwrite || !ranks.first() || !std::filesystem::exists(s.output), s.output,
                         ": is there already; choose another --out, or add --overwrite");
    require<Exit::usage>(std::has_single_bit(uint64_t(slots)) && slots % ranks.size() == 0, "--slots ", slots,
                         ": a power of two that ", ranks.size(), " ranks divide");
    corpus = std::make_unique<SpeechCorpus>(s.corpus, "train");
    features = open_all_features(s.features, *corpus);
    mine = draw_frames(ranks, *features,
                       {.frames = s.frames, .slots = slots, .seed = s.seed, .check_stop = s.check_stop});
  });
  FittedCodebook fitted;
  fitted.found = fit_k_means(ranks, mine,
                             {.clusters = s.clusters,
                              .dim = features->dim(),
                              .batch_rows = s.batch,
                              .batches = s.batches,
                              .seeding_rows = 16384,
                              .seed = s.seed});
  fitted.codebook = {.features = features->kind(),
                     .rate = features->rate(),
                     .clusters = s.clusters,
                     .dim = features->dim(),
                     .corpus = corpus->hash(),
                     .centres = fitted.found.centres};
  together(ranks, "writing the codebook", [&] {
    if (ranks.first()) write_codebook(s.output, fitted.codebook);
  });
  return fitted;
}

LabelReport make_labels(Communicator& ranks, LabelPreparation settings, const std::string& features) {
  // Shards take as long as they take: others wait for that, and not for an answer.
  constexpr double kPatience = 7 * 24 * 3600;
  ranks.set_deadline(kPatience);
  settings.features = [&](const SpeechCorpus& corpus) { return open_all_features(features, corpus); };
  return prepare_labels(settings,
                        {.rank = ranks.rank(), .ranks = ranks.size(), .meet = [&] { barrier(ranks, "labels"); }});
}

}  // namespace hinoki
