#include "train/generation_options.h"

#include <CLI/CLI.hpp>
#include <map>

#include "core/base/in_quotes.h"
#include "data/utf8.h"

namespace hinoki {

void add_generation_options(CLI::App& command, GenerationOptions& options, std::vector<std::string>& stop) {
  Sampling& s = options.sampling;
  command.add_option("--max-tokens", options.max_tokens, "New tokens at most")->capture_default_str();
  command.add_option("--temperature", s.temperature, "Divides the logits; 0 takes the likeliest token")
      ->capture_default_str();
  command.add_option("--top-k", s.top_k, "Draw from the k likeliest tokens; 0: all")->capture_default_str();
  command.add_option("--top-p", s.top_p, "Draw from the likeliest tokens that hold this share of the probability")
      ->capture_default_str();
  command.add_option("--repetition-penalty", s.repetition_penalty, "Above 1 avoids tokens that were there; 1: off")
      ->capture_default_str();
  command.add_option("--seed", s.seed, "The same seed draws the same tokens")->capture_default_str();
  command.add_option("--stop", stop, "Stop before this text");
}

void require_utf8(const char* option, const std::string& text) {
  const size_t good = utf8_valid_until(text);
  require<Exit::usage>(good == text.size(), option, " ", in_quotes(text), " is not UTF-8 at byte ", good);
}

void add_storage_option(CLI::App& command, MatrixStorage& storage) {
  const std::map<std::string, MatrixStorage> names{{"stored", MatrixStorage::as_stored}, {"bf16", MatrixStorage::bf16}};
  command
      .add_option("--dtype", storage, "How the CPU keeps matrices: stored (as in the folder) or bf16 (default: stored)")
      ->transform(CLI::CheckedTransformer(names).description(""))
      ->type_name("NAME");
}

LoadedModel open_model(const std::string& folder, const Placement& where, MatrixStorage storage) {
  if (storage == MatrixStorage::as_stored) return open_model(folder, where);
  require<Exit::usage>(where.device == Device::cpu, "--dtype bf16 is for the CPU; on cuda --precision bf16 says it");
  require_model_folder(folder, where);
  return load_model(folder, Device::cpu, DType::bf16);
}

}  // namespace hinoki
