// A snapshot small enough to write hundreds of times: weights, optimizer state, a config.
#pragma once
#include <cstring>
#include <string>
#include <vector>

#include "core/base/file.h"
#include "core/safetensors.h"
#include "core/safetensors_writer.h"
#include "train/publication.h"

namespace hinoki {

inline void write_tiny_weights(const std::string& folder, const std::string& stem, float value) {
  SafetensorsWriter writer = SafetensorsWriter::create(
      folder,
      SafetensorsLayout({{"layer.weight", DType::f32, {8, 4}}, {"layer.bias", DType::f32, {8}}}, {.stem = stem}));
  const std::vector<float> values(32, value);
  writer.write("layer.weight", std::as_bytes(std::span(values)));
  writer.write("layer.bias", std::as_bytes(std::span(values).first(8)));
  writer.finish();
}

// Every value in it is the step.
inline std::string publish_tiny_snapshot(const std::string& snapshots, int64_t step) {
  Publication publication(snapshots, step);
  make_directory(publication.folder() + "/state");
  write_tiny_weights(publication.folder(), "model", static_cast<float>(step));
  write_tiny_weights(publication.folder() + "/state", "moments", static_cast<float>(-step));
  FileWriter config = FileWriter::create(publication.folder() + "/config.json");
  config.write("{\"model_type\": \"gpt_neox\"}\n");
  config.close();
  return publication.publish({{"step", step}});
}

inline float read_tiny_snapshot(const std::string& path) {
  const SafetensorsFile file = SafetensorsFile::open(path + "/model.safetensors");
  float value;
  std::memcpy(&value, file.at("layer.weight").bytes.data(), sizeof value);
  return value;
}

}  // namespace hinoki
