// A kind of training: what its config says, what it will need, and the task it opens.
//
// A recipe is made of a config struct derived from RunConfig and functions beside it, found by its type:
//   std::string heading_of(const Config&)        the model in one line
//   Plan plan_of(const Config&)                  of one rank alone
//   Throughput throughput_of(const Config&)
//   double epoch_of(const Config&)               what the training data holds, in units of throughput; 0: unknown
//   std::unique_ptr<Task> task_of(const Config&, Parameters&)    adds the model's parameters, which hold nothing yet
#pragma once
#include <concepts>

#include "train/config_file.h"
#include "train/plan.h"
#include "train/task.h"
#include "train/throughput.h"

namespace hinoki {

class Recipe {
 public:
  virtual ~Recipe() = default;
  virtual std::unique_ptr<Recipe> clone() const = 0;
  virtual RunConfig& config() = 0;
  virtual const RunConfig& config() const = 0;
  virtual std::string print() const = 0;    // the whole config as TOML
  virtual std::string heading() const = 0;  // the model in one line
  virtual Plan plan() const = 0;
  virtual Throughput throughput() const = 0;
  virtual double epoch() const = 0;
  virtual std::unique_ptr<Task> open(Parameters& parameters) const = 0;
};

template <std::derived_from<RunConfig> Config>
class RecipeOf final : public Recipe {
 public:
  explicit RecipeOf(Config config) : config_(std::move(config)) {}
  std::unique_ptr<Recipe> clone() const override { return std::make_unique<RecipeOf>(config_); }
  RunConfig& config() override { return config_; }
  const RunConfig& config() const override { return config_; }
  std::string print() const override { return print_config(config_); }
  std::string heading() const override { return heading_of(config_); }
  Plan plan() const override { return plan_of(config_); }
  Throughput throughput() const override { return throughput_of(config_); }
  double epoch() const override { return epoch_of(config_); }
  const Config& full_config() const { return config_; }
  std::unique_ptr<Task> open(Parameters& parameters) const override { return task_of(config_, parameters); }

 private:
  Config config_;
};

// The recipe that the tree names. The one place that knows them all.
std::unique_ptr<Recipe> read_recipe(const ConfigNode& tree);

}  // namespace hinoki
