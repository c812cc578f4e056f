#include "train/codebook_fit.h"

#include <bit>

#include "train/layer_features.h"

namespace hinoki {

FittedCodebook fit_codebook(Communicator& ranks, const ClusterSettings& s) {
  std::unique_ptr<SpeechCorpus> corpus;
  std::unique_ptr<FrameFeatures> features;
  std::vector<std::vector<float>> mine;
  together(ranks, "drawing frames", [&] {
    require<Exit::usage>(s.clusters <= kMostClusters, "--clusters ", s.clusters, ": at most ", kMostClusters);
    const int64_t slots = s.slots > 0 ? s.slots : int64_t(std::bit_ceil(uint64_t(ranks.size())));
    require<Exit::usage>(std::has_single_bit(uint64_t(slots)) && slots % ranks.size() == 0, "--slots ", slots,
                         ": a power of two that ", ranks.size(), " ranks divide");
    corpus = std::make_unique<SpeechCorpus>(s.corpus, "train");
    features = open_all_features(s.features, *corpus);
    mine = draw_frames(ranks, *features, {.frames = s.frames, .slots = slots, .seed = s.seed});
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
