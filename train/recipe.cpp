#include "train/recipe.h"

#include "train/ctc_task.h"
#include "train/gpt_task.h"
#include "train/hubert_chain.h"
#include "train/hubert_task.h"

namespace hinoki {
namespace {

template <class Config>
std::unique_ptr<Recipe> read_as(const ConfigNode& tree) {
  Config config;
  apply_config(tree, config);
  return std::make_unique<RecipeOf<Config>>(std::move(config));
}

}  // namespace

std::unique_ptr<Recipe> read_recipe(const ConfigNode& tree) {
  const ConfigNode* const node = tree.find("recipe");
  const std::string name = node ? config::read_text(*node, "recipe") : "gpt";
  if (name == "gpt") return read_as<GptConfig>(tree);
  if (name == "hubert") return read_as<HubertConfig>(tree);
  if (name == "ctc") return read_as<CtcConfig>(tree);
  require<Exit::usage>(name != kHubertChain, node->place, ": a chain of runs is for `hinoki train` alone; give the config "
                       "of one of its stages");
  fail<Exit::usage>(node->place, ": recipe \"", name, "\" is not known; gpt, hubert and ctc are");
}

}  // namespace hinoki
