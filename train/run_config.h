// What the configs of all recipes have in common; each recipe's own config adds its model and its data.
#pragma once
#include <string>

#include "core/base/dtype.h"
#include "models/layers.h"
#include "train/fields.h"
#include "train/schedule.h"

namespace hinoki {

constexpr auto enum_names(Recompute) { return std::array{"none", "inputs", "full"}; }
constexpr auto enum_names(Device) { return std::array{"cpu", "cuda"}; }

// What layers compute in: f32, f32 with matrix products whose factors are rounded to tf32, or bf16 with f32 masters,
// moments, statistics and sums. The CPU has f32.
enum class Precision { f32, tf32, bf16 };
constexpr auto enum_names(Precision) { return std::array{"f32", "tf32", "bf16"}; }

// How gradients and weights go from GPU to GPU: by NCCL, or through the memory of their hosts, by MPI. The bits are the
// same.
enum class BetweenGpus { nccl, host };
constexpr auto enum_names(BetweenGpus) { return std::array{"nccl", "host"}; }

struct OptimizerConfig {  // AdamW (Loshchilov & Hutter 2019)
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8;
  double weight_decay = 0.1;  // of matrices; biases and norm weights have none
  double clip = 1.0;          // of the global gradient norm; 0: off

  template <class Visitor>
  void fields(Visitor& v) {
    v("beta1", beta1, Range{0, 1});
    v("beta2", beta2, Range{0, 1});
    v("eps", eps, Range{0});
    v("weight_decay", weight_decay, Range{0});
    v("clip", clip, Range{0});
  }
};

struct TrainConfig {
  int64_t steps = 1000;
  int64_t batch = 8;          // rows a micro-batch: sequences, utterances
  int64_t micro_batches = 1;  // a step: their gradients add up
  Recompute recompute = Recompute::none;
  int64_t seed = 1;
  // Of many ranks (train/reducer.h). Their number divides reduction_slots, which is a power of two and divides
  // micro_batches; a run keeps it for good, and then has the same bits on any number of ranks.
  int64_t reduction_slots = 0;  // 0: as many as there are ranks when the run begins
  int64_t zero = 0;             // 1: every rank keeps and updates a part of the optimizer's state (ZeRO-1)
  double bucket_mib = 16;       // of gradients that travel together
  BetweenGpus between_gpus = BetweenGpus::nccl;
  double deadline = 300;  // seconds until a rank that does not answer is given up

  template <class Visitor>
  void fields(Visitor& v) {
    v("steps", steps, Range{0});
    v("batch", batch, Range{1, 1 << 20});
    v("micro_batches", micro_batches, Range{1, 1 << 20});
    v("recompute", recompute);
    v("seed", seed, Range{0});
    v("reduction_slots", reduction_slots, Range{0, 1 << 16});
    v("zero", zero, Range{0, 1});
    v("bucket_mib", bucket_mib, Range{0.25, 1 << 10});
    v("between_gpus", between_gpus);
    v("deadline", deadline, Range{0.1});
  }
  void check() const {
    require<Exit::usage>((reduction_slots & (reduction_slots - 1)) == 0, "train.reduction_slots ", reduction_slots,
                         " is not a power of two");
    require<Exit::usage>(reduction_slots == 0 || micro_batches % reduction_slots == 0, "train.micro_batches ",
                         micro_batches, " is not a multiple of train.reduction_slots ", reduction_slots,
                         ": every slot takes the same number of them");
  }
};

// A step whose loss or gradient is not finite, or whose loss jumps, never changes the weights. It ends the run, or its
// batch is skipped, or the run goes back to a snapshot and on with other data (train/rewind.h).
enum class GuardPolicy { stop, skip, rewind };
constexpr auto enum_names(GuardPolicy) { return std::array{"stop", "skip", "rewind"}; }

struct GuardConfig {
  GuardPolicy policy = GuardPolicy::stop;
  double spike = 0;            // a loss of more than so many times the usual one (train/guard.h) is a jump; 0: none is
  int64_t most_in_a_row = 10;  // steps skipped, or rewinds, after which the run ends all the same
  int64_t rewind_steps = 0;    // that the snapshot lies before the bad step, at least
  int64_t skip_batches = 0;    // left out from the bad one on

  template <class Visitor>
  void fields(Visitor& v) {
    v("policy", policy);
    v("spike", spike, Range{0});
    v("most_in_a_row", most_in_a_row, Range{1});
    v("rewind_steps", rewind_steps, Range{0});
    v("skip_batches", skip_batches, Range{0, 1 << 20});
  }
  bool rewinds() const { return policy == GuardPolicy::rewind; }
  void check() const {
    require<Exit::usage>(spike == 0 || spike > 1, "guard.spike ", spike, " is not above 1: every step would be one");
    require<Exit::usage>(!rewinds() || rewind_steps > 0,
                         "guard.policy = \"rewind\" needs guard.rewind_steps: how many steps before a bad one the "
                         "snapshot that it goes back to was made, at least");
    require<Exit::usage>(!rewinds() || skip_batches > 0,
                         "guard.policy = \"rewind\" needs guard.skip_batches: how many batches from the bad one on "
                         "are left out; 1 is the bad one alone");
    require<Exit::usage>(rewinds() || (rewind_steps == 0 && skip_batches == 0),
                         "guard.rewind_steps and guard.skip_batches are for guard.policy = \"rewind\" alone; the "
                         "policy is \"",
                         enum_names(policy)[size_t(policy)], "\"");
  }
};

struct LogConfig {
  int64_t every = 10;               // steps between lines; metrics.jsonl has every step
  int64_t evaluate_every = 0;       // 0: only at the end
  int64_t evaluate_sequences = 64;  // of the validation split; 0: all
  int64_t sample_every = 0;         // 0: only at the end
  int64_t snapshot_every = 0;       // 0: only at the end
  int64_t keep_last = 2;            // snapshots
  int64_t keep_every = 0;           // and every one of a step that this divides; 0: none

  template <class Visitor>
  void fields(Visitor& v) {
    v("every", every, Range{1});
    v("evaluate_every", evaluate_every, Range{0});
    v("evaluate_sequences", evaluate_sequences, Range{0});
    v("sample_every", sample_every, Range{0});
    v("snapshot_every", snapshot_every, Range{0});
    v("keep_last", keep_last, Range{1});
    v("keep_every", keep_every, Range{0});
  }
};

struct RunConfig {
  std::string recipe;
  std::string run;  // folder of this run
  Device device = Device::cpu;
  Precision precision = Precision::f32;
  std::string start_from;  // a Hugging Face folder or snapshot whose weights to start from; empty: from the seed
  TrainConfig train;
  Schedule learning_rate;
  OptimizerConfig optimizer;
  GuardConfig guard;
  LogConfig log;
  LoraConfig lora;  // of recipes that know it

  // The fields before and after those of the recipe.
  template <class Visitor>
  void visit_place(Visitor& v) {
    v("recipe", recipe);
    v("run", run);
    v("start_from", start_from);
    v("device", device);
    v("precision", precision);
  }
  template <class Visitor>
  void visit_training(Visitor& v) {
    v("train", train);
    v("learning_rate", learning_rate);
    v("optimizer", optimizer);
    v("guard", guard);
    v("log", log);
  }
  void check() const {
    require<Exit::usage>(lora.rank >= 0 && lora.rank <= 4096 && lora.alpha > 0, "lora.rank ", lora.rank,
                         " is not in [0, 4096], or lora.alpha ", lora.alpha, " is not above 0");
    require<Exit::usage>(lora.rank == 0 || !start_from.empty(), "lora.rank ", lora.rank,
                         " adapts a finished model: name its folder in start_from");
    require<Exit::usage>(device == Device::cuda || precision == Precision::f32, "precision \"",
                         enum_names(precision)[size_t(precision)], "\" needs device = \"cuda\"; the CPU trains in f32");
    require<Exit::usage>(!guard.rewinds() || log.snapshot_every > 0,
                         "guard.policy = \"rewind\" goes back to the snapshots that log.snapshot_every asks for, and "
                         "that is 0: give the number of steps between them, or another policy");
  }

  DType dtype() const { return precision == Precision::bf16 ? DType::bf16 : DType::f32; }  // of weights and activations
  bool adapts() const { return lora.rank > 0; }  // the weights of start_from stay as they are
  int64_t step_rows() const { return train.batch * train.micro_batches; }
};

}  // namespace hinoki
