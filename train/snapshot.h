// A snapshot: a Hugging Face folder that transformers opens as it is, plus state/ with what training goes on from.
//
//   config.json generation_config.json model.safetensors spiece.model tokenizer.json ... README.md    the model
//   state/optimizer.safetensors    m.NAME and v.NAME, the moments of each parameter, f32 like the weights; w.NAME, the
//                                  weights themselves where model.safetensors has them rounded, or not at all
//                                  (Parameter::training_only)
//   state/run.json                 step, targets seen, and what bits depend on
//   state/config.toml              the resolved config
//   state/rollouts.safetensors     of recipe "ppo": the answers that it is learning from (train/rollouts.h)
//   manifest.json                  hashes of all of it
//
// Everything is stored by parameter name, never by rank or offset. Nothing else is needed to go on: data order, dropout
// masks and learning rates are functions of the step.
#pragma once
#include <functional>
#include <string>

#include "core/safetensors_writer.h"
#include "train/optimizer.h"
#include "train/run_config.h"

namespace hinoki {

struct RunState {
  int64_t step = 0;     // finished steps
  int64_t targets = 0;  // predicted in them
  int64_t updates = 0;  // of the weights: steps that were not skipped
  int64_t skipped_in_a_row = 0;
  double loss_sum = 0, loss_weight = 0;  // whose ratio is the usual loss
  int64_t data_shift = 0;                // the next step takes batch step + data_shift: what rewinds have left out
  int64_t rewinds_in_a_row = 0;          // of which the last went from the bad step rewound_from back to rewound_to
  int64_t rewound_from = 0, rewound_to = 0;
};

// What the bits of a run depend on besides its config: "avx512 f32".
std::string arithmetic(const RunConfig& config);

// A run of consecutive elements of one tensor, as somebody holds it: everything of it, or a rank's share.
struct SnapshotPiece {
  std::string tensor;
  int64_t begin;  // its first element
  Tensor values;  // contiguous, on any device
};
// What goes into model.safetensors and into state/optimizer.safetensors.
struct SnapshotPieces {
  std::vector<SnapshotPiece> weights, training;
};
SnapshotPieces snapshot_pieces(const Parameters& parameters, const Optimizer& optimizer);

// Where every element lies in the files: a function of the parameters' names, shapes and types.
struct SnapshotLayout {
  SafetensorsLayout weights, training;
  explicit SnapshotLayout(const Parameters& parameters);
};

// What a snapshot says beside its tensors.
struct SnapshotTexts {
  RunConfig config;
  std::string printed;                                         // the resolved config of its recipe, in full
  std::function<void(const std::string& folder)> write_model;  // config.json, the tokenizer's files, ...
};

// All texts but the manifest, in the folder that is being written.
void write_texts(const std::string& folder, const SnapshotTexts& texts, const RunState& state);

// Fills weights and moments from a verified snapshot. Says so if the run will not go on with the same bits.
RunState load_snapshot(const std::string& path, const SnapshotTexts& now, Parameters& parameters, Optimizer& optimizer);

}  // namespace hinoki
