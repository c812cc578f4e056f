#include "train/recipe.h"

#include "train/ctc_task.h"
#include "train/dpo_task.h"
#include "train/gpt_task.h"
#include "train/hubert_chain.h"
#include "train/hubert_task.h"
#include "train/model_folder.h"
#include "train/ppo_task.h"
#include "train/reward_task.h"
#include "train/sft_task.h"

namespace hinoki {
namespace {

template <class Config>
std::unique_ptr<Recipe> read_as(const ConfigNode& tree) {
  Config config;
  apply_config(tree, config);
  return std::make_unique<RecipeOf<Config>>(std::move(config));
}

// Of a recipe that goes on from a finished model: its architecture need not be said again.
template <class Config>
std::unique_ptr<Recipe> read_after(const ConfigNode& tree) {
  Config config;
  const ConfigNode* const from = tree.find("start_from");
  if (from && !tree.find("model")) {
    const std::string folder = config::read_text(*from, "start_from");
    if (!folder.empty()) config.model = read_model_config(folder);
  }
  apply_config(tree, config);
  return std::make_unique<RecipeOf<Config>>(std::move(config));
}

}  // namespace

std::unique_ptr<Recipe> read_recipe(const ConfigNode& tree) {
  const ConfigNode* const node = tree.find("recipe");
  const std::string name = node ? config::read_text(*node, "recipe") : "gpt";
  if (name == "gpt") return read_after<GptConfig>(tree);
  if (name == "sft") return read_after<SftConfig>(tree);
  if (name == "reward") return read_after<RewardConfig>(tree);
  if (name == "dpo") return read_after<DpoConfig>(tree);
  if (name == "ppo") return read_after<PpoConfig>(tree);
  if (name == "hubert") return read_as<HubertConfig>(tree);
  if (name == "ctc") return read_as<CtcConfig>(tree);
  require<Exit::usage>(name != kHubertChain, node->place,
                       ": a chain of runs is for `hinoki train` alone; give the config "
                       "of one of its stages");
  fail<Exit::usage>(node->place, ": recipe \"", name, "\" is not known; gpt, sft, reward, dpo, ppo, hubert and ctc are");
}

}  // namespace hinoki
