// What a run trains: a model, the examples it learns from, and its loss. All that is common to training, from micro-
// batches to snapshots, is the run's (train/run.h).
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "models/layers.h"
#include "train/communicator.h"
#include "train/progress.h"
#include "train/tensorboard.h"

namespace hinoki {

// The examples of a micro-batch, in the machine's own memory. Each task derives its own.
struct Examples {
  int64_t targets = 0;  // predictions that the loss sums over, unless the task says otherwise
  virtual ~Examples() = default;
};

// What was found on data that is not trained on.
struct Validation {
  double loss = 0;              // of a target
  std::string text;             // for people: "4.2 nats/token, ..."
  std::vector<Scalar> scalars;  // for metrics.jsonl and TensorBoard, the loss among them
};

class Task {
 public:
  virtual ~Task() = default;

  // Rows [first, first + rows) of the global batch of `step`, a function of these alone. Steps count from 0, and on over
  // the batches that a rewind leaves out. Called on another thread than the rest.
  virtual std::unique_ptr<Examples> examples(int64_t step, int64_t first, int64_t rows) const = 0;
  // Predictions that the loss of these examples sums over, once it has been computed.
  virtual int64_t targets(const Examples& examples) const { return examples.targets; }
  // The loss summed over the targets, f64 [].
  virtual Tensor loss(const Examples& examples, const Pass& pass) const = 0;
  // Called before the first loss of a step, and after the last, by all ranks together.
  virtual void before_step(int64_t, Communicator&) {}
  virtual Shown after_step(Communicator&) { return {}; }
  // The same bits on any number of ranks.
  virtual Validation validate(Communicator& ranks) const = 0;
  // Texts that show what was learned in `step` steps.
  virtual std::vector<std::string> samples(int64_t step) const;

  // The update from which a parameter learns; before, its loss has no gradient there. INT64_MAX: never.
  virtual int64_t learns_from(const Parameter&) const { return 0; }

  // What is done only after many steps must not fail then, and take them with it: tried once before the first.
  virtual void check_end() const {}
  // Fills the parameters from a folder of weights, or of adapters and what they adapt.
  virtual void start_from(const std::string& folder, Parameters& parameters) const;
  // Refuses a snapshot (Exit::snapshot) that this task cannot go on from, for what lies beside the weights.
  virtual void check_snapshot(const std::string& folder) const = 0;
  // What a task has to remember between steps: what writes it as it is now into a snapshot's folder (called on another
  // thread, while this goes on), and its way back.
  virtual std::function<void(const std::string& folder)> remembered() const { return {}; }
  virtual void recall(const std::string&) {}
  // What makes a folder of weights one that transformers opens. Called on another thread; holds no reference to this.
  virtual std::function<void(const std::string& folder)> model_texts() const = 0;
};

// Fills parameters from a folder of a language model's weights, or of adapters and what they adapt. What begins with
// `may_lack` keeps its values if the folder lacks it.
void fill_from(const std::string& folder, Parameters& parameters, std::string_view may_lack = {});

}  // namespace hinoki
