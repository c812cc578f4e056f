// A snapshot: a Hugging Face folder that transformers opens as it is, plus state/ with what training goes on from.
//
//   config.json generation_config.json model.safetensors spiece.model tokenizer.json ... README.md    the model
//   state/optimizer.safetensors    m.NAME and v.NAME, the moments of each parameter, f32 like the weights
//   state/run.json                 step, tokens seen, and what bits depend on
//   state/config.toml              the resolved config
//   manifest.json                  hashes of all of it
//
// Everything is stored by parameter name, never by rank or offset. Nothing else is needed to go on: data order, dropout
// masks and learning rates are functions of the step.
#pragma once
#include <string>

#include "train/gpt_config.h"
#include "train/model_folder.h"
#include "train/optimizer.h"

namespace hinoki {

struct RunState {
  int64_t step = 0;    // finished steps
  int64_t tokens = 0;  // seen in them
};

// What the bits of a run depend on besides its config: "avx512 f32".
std::string arithmetic(const GptConfig& config);

struct SnapshotContents {
  const GptConfig& config;
  const Parameters& parameters;
  const Optimizer& optimizer;
  ModelFolder model;
  RunState state;
};

// Publishes a snapshot in `snapshots` and removes those that retention gives up. Returns its path.
std::string save_snapshot(const std::string& snapshots, const SnapshotContents& contents);

// Fills weights and moments from a verified snapshot. Says so if the run will not go on with the same bits.
RunState load_snapshot(const std::string& path, const GptConfig& config, Parameters& parameters, Optimizer& optimizer);

}  // namespace hinoki
