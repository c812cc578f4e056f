// A model that says what a test wants: after token a comes next[a], whatever stood before.
#pragma once
#include <map>

#include "data/tokenizer.h"
#include "models/model.h"

namespace hinoki::test {

struct ChainModel {
  ModelConfig config;  // a GPT-NeoX without layers
  std::map<std::string, Tensor> weights;

  // chain[i + 1] comes after chain[i]; a token in it twice keeps its last successor.
  ChainModel(int64_t vocabulary, const std::vector<int32_t>& chain, int64_t positions = 64);

  void give_to(const Parameters& parameters) const;
  // A Hugging Face folder with the tokenizer of `spiece`; gives `folder`.
  std::string write(const std::string& folder, const std::string& spiece) const;
};

// The ids that stand for the bytes of a text, whatever pieces there are for it.
std::vector<int32_t> byte_ids(const Tokenizer& tokenizer, const std::string& text);

}  // namespace hinoki::test
