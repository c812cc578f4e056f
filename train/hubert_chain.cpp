#include "train/hubert_chain.h"

#include <filesystem>

#include "core/base/file.h"
#include "core/base/log.h"
#include "train/codebook_fit.h"
#include "train/hubert_task.h"
#include "train/layer_features.h"
#include "train/publication.h"
#include "train/run_lock.h"

namespace hinoki {
namespace {

// The newest snapshot of a stage that verifies.
std::optional<SnapshotPath> newest_of(const std::string& run) {
  const UsableSnapshot usable = find_usable(run + "/snapshots");
  for (const std::string& line : usable.rejected) warn("rejected a snapshot: ", line);
  return usable.found;
}

class Chain {
 public:
  Chain(const HubertChain& chain, Communicator& ranks, const std::function<void(Recipe&)>& train,
        const std::function<void()>& check_stop)
      : chain_(chain), ranks_(ranks), train_(train), check_stop_(check_stop) {}

  void run() {
    std::vector<std::unique_ptr<Recipe>> recipes;
    std::unique_ptr<RunLock> lock;
    together(ranks_, "the stages of the chain", [&] {
      for (size_t n = 0; n < chain_.stages.size(); ++n) recipes.push_back(stage_recipe(chain_, n));
      if (!ranks_.first()) return;
      make_directory_durably(chain_.run);
      lock = std::make_unique<RunLock>(chain_.run);
    });
    for (size_t n = 0; n < recipes.size(); ++n) stage(n, *recipes[n]);
  }

 private:
  void stage(size_t n, Recipe& recipe) {
    const StagePaths paths(chain_, n);
    const std::string name = say("stage ", n + 1, " of ", chain_.stages.size(), ": ");
    const bool trained = agree(name + "is it trained?", [&] {
      const auto found = newest_of(paths.train);
      if (found && found->step >= recipe.config().train.steps) return true;
      make_directory_durably(paths.folder);
      return false;
    });
    if (trained) {
      inform(name, "is trained (", paths.train, ")");
      return;
    }
    // What one rank does alone may take longer than others would wait for an answer.
    ranks_.set_deadline(kPatience);
    const std::string features = features_of(n);
    make_codebook(n, name, features);
    check_stop_();
    make_labels(n, name, features);
    check_stop_();
    inform(name, "training ", paths.train);
    ranks_.set_deadline(recipe.config().train.deadline);
    train_(recipe);
  }

  std::string features_of(size_t n) const {
    if (chain_.stages[n].layer == 0) return "mfcc";
    const auto before = newest_of(StagePaths(chain_, n - 1).train);
    require<Exit::snapshot>(before.has_value(), StagePaths(chain_, n - 1).train, ": holds no snapshot that verifies");
    return say("hubert:", before->path, ":layer=", chain_.stages[n].layer);
  }

  void make_codebook(size_t n, const std::string& name, const std::string& features) {
    const HubertStage& stage = chain_.stages[n];
    const std::string path = StagePaths(chain_, n).codebook;
    const bool there = agree(name + "is there a codebook?", [&] {
      if (!is_file(path)) return false;
      const SpeechCorpus corpus(chain_.corpus, "train");
      const Codebook found = read_codebook(path);
      const std::string kind = open_all_features(features, corpus)->kind();
      require<Exit::usage>(
          found.clusters == stage.clusters && found.features == kind && found.corpus == corpus.hash(), path, " is of ",
          found.clusters, " clusters of ", found.features, " of the corpus ", found.corpus, ", and not of ",
          stage.clusters, " of ", kind, " of ", corpus.hash(), "; remove the stage's folder, or choose another run");
      return true;
    });
    if (there) return inform(name, "has its codebook (", path, ")");
    inform(name, "finding ", stage.clusters, " clusters in ", features);
    fit_codebook(ranks_, {.corpus = chain_.corpus,
                          .output = path,
                          .features = features,
                          .clusters = stage.clusters,
                          .frames = stage.frames,
                          .batches = stage.batches,
                          .check_stop = check_stop_});
  }

  void make_labels(size_t n, const std::string& name, const std::string& features) {
    const StagePaths paths(chain_, n);
    const LabelReport report = hinoki::make_labels(
        ranks_,
        {.corpus = chain_.corpus,
         .codebook = paths.codebook,
         .output = paths.labels,
         .features = {},
         .check_stop = check_stop_},
        features);
    const LabelUsage usage = usage_of(report.train.counts);
    inform(name, report.reused ? "has its labels (" : "made labels (", paths.labels, "), entropy ", usage.entropy,
           " nats, ", usage.used, " of ", report.origin.clusters, " clusters occur");
  }

  // What rank 0 finds.
  bool agree(const std::string& what, const std::function<bool()>& find) {
    std::string found;
    together(ranks_, what, [&] {
      if (ranks_.first()) found = find() ? "yes" : "no";
    });
    return broadcast(ranks_, what, found) == "yes";
  }

  static constexpr double kPatience = 7 * 24 * 3600;
  const HubertChain& chain_;
  Communicator& ranks_;
  const std::function<void(Recipe&)>& train_;
  const std::function<void()>& check_stop_;
};

}  // namespace

void HubertChain::check() const {
  require<Exit::usage>(!stages.empty(), "stages is empty");
  require<Exit::usage>(stages.front().layer == 0, "the first of stages has no model before it: its layer is 0 (MFCC)");
}

std::optional<HubertChain> read_hubert_chain(const std::string& path, const std::vector<std::string>& overrides) {
  const ConfigNode tree = read_config(path, overrides);
  const ConfigNode* const node = tree.find("recipe");
  if (!node || config::read_text(*node, "recipe") != kHubertChain) return std::nullopt;
  HubertChain chain;
  apply_config(tree, chain);
  chain.folder = std::filesystem::path(path).parent_path().string();
  return chain;
}

StagePaths::StagePaths(const HubertChain& chain, size_t n)
    : folder(say(chain.run, "/", n + 1)),
      codebook(folder + "/codebook.h5"),
      labels(folder + "/labels"),
      train(folder + "/train") {}

std::unique_ptr<Recipe> stage_recipe(const HubertChain& chain, size_t n) {
  const HubertStage& stage = chain.stages[n];
  const StagePaths paths(chain, n);
  const std::string path = (std::filesystem::path(chain.folder) / stage.config).string();
  std::vector<std::string> all = stage.overrides;
  for (const auto& [key, value] : {std::pair{"data.corpus", chain.corpus}, {"data.labels", paths.labels},
                                   {"run", paths.train}, {"targets.classes", std::to_string(stage.clusters)}})
    all.push_back(say(key, "=", value));
  const ConfigNode tree = read_config(path, all);
  HubertConfig config;
  apply_config(tree, config);
  require<Exit::usage>(config.recipe == "hubert", path, ": stages of a chain have recipe \"hubert\", not \"",
                       config.recipe, "\"");
  if (n > 0 && stage.layer > 0) {
    const auto before = stage_recipe(chain, n - 1);
    const auto layers = static_cast<const RecipeOf<HubertConfig>&>(*before).full_config().model.num_hidden_layers;
    require<Exit::usage>(stage.layer <= layers, "stages: layer ", stage.layer, " is asked for, the model before has ",
                         layers);
  }
  return std::make_unique<RecipeOf<HubertConfig>>(std::move(config));
}

void run_hubert_chain(const HubertChain& chain, Communicator& ranks, const std::function<void(Recipe&)>& train,
                      const std::function<void()>& check_stop) {
  Chain(chain, ranks, train, check_stop).run();
}

}  // namespace hinoki
