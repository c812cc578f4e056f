// Recipe "hubert_chain": from a speech corpus to a HuBERT of several iterations. Each finds clusters in features of its
// own (MFCC, then a layer of the model before), labels the corpus with them, and trains a model from random weights.
//
//   RUN/1/codebook.h5  RUN/1/labels/  RUN/1/train/   RUN/2/...
//
// Every part knows when it is finished: the same command, after a kill at any moment, passes over what is there and goes
// on with the rest.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "train/communicator.h"
#include "train/recipe.h"

namespace hinoki {

inline constexpr const char* kHubertChain = "hubert_chain";  // as a config's recipe

struct HubertStage {
  std::string config;                  // of recipe "hubert"; relative paths count from the chain's file
  std::vector<std::string> overrides;  // of it: "train.steps=200"
  int64_t layer = 0;                   // of the model before, whose output is clustered; 0: MFCC
  int64_t clusters = 100;
  int64_t frames = 2'000'000;  // drawn for the clusters
  int64_t batches = 1000;      // of k-means

  template <class Visitor>
  void fields(Visitor& v) {
    v("config", config, required);
    v("overrides", overrides);
    v("layer", layer, Range{0, 1 << 10});
    v("clusters", clusters, Range{1, 1 << 20});
    v("frames", frames, Range{1});
    v("batches", batches, Range{1});
  }
};

struct HubertChain {
  std::string recipe;
  std::string run = "runs/hubert_chain";
  std::string corpus;  // the folder that `hinoki data speech` made
  std::vector<HubertStage> stages;
  std::string folder;  // of the chain's file; not a key

  template <class Visitor>
  void fields(Visitor& v) {
    v("recipe", recipe);
    v("run", run);
    v("corpus", corpus, required);
    v("stages", stages, required);
  }
  void check() const;
};

// The chain that a config file describes; nothing if its recipe is another one.
std::optional<HubertChain> read_hubert_chain(const std::string& path, const std::vector<std::string>& overrides);

// Where the parts of stage `n`, from 0, lie.
struct StagePaths {
  std::string folder, codebook, labels, train;
  StagePaths(const HubertChain& chain, size_t n);
};
// The config of a stage, with corpus, labels, clusters and run folder filled in: a contradiction is found before
// anything is made.
std::unique_ptr<Recipe> stage_recipe(const HubertChain& chain, size_t n);

// `train` brings a stage's run to its end, from wherever it stands. `check_stop` throws where somebody asked to stop.
void run_hubert_chain(const HubertChain& chain, Communicator& ranks, const std::function<void(Recipe&)>& train,
                      const std::function<void()>& check_stop);

}  // namespace hinoki
