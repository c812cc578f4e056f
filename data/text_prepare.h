// Raw text to token shards: read, clean, drop duplicates, split, tokenize, write. Memory is flat for input of any size,
// and the bytes written depend on the input and the settings alone: not on threads, not on a run that was killed
// before.
#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "data/document_assembler.h"
#include "data/text_pieces.h"
#include "data/tokenizer.h"

namespace hinoki {

struct TextPreparation {
  std::vector<std::filesystem::path> inputs;
  std::filesystem::path output;
  PieceSettings pieces = {};
  Deduplicate deduplicate = Deduplicate::line;
  double validation_fraction = 0.01;
  int64_t shard_tokens = int64_t{64} << 20;
  int threads = 1;
  bool overwrite = false;  // a finished corpus
};

struct SplitReport {
  int64_t shards = 0, documents = 0, tokens = 0, bytes = 0, characters = 0;
};

struct TextReport {
  int64_t files = 0, empty_files = 0, input_bytes = 0;  // decompressed
  PieceCounts pieces;
  AssembledCounts documents;
  SplitReport train, validation;
  bool reused = false;  // the output was already made from the same files with the same settings
};

// Leaves train-00000.h5 ..., validation-00000.h5 ..., spiece.model and, last, prepare.json in the output folder.
TextReport prepare_text(const Tokenizer& tokenizer, const TextPreparation& settings);

// All clean lines of the inputs, for training a tokenizer: `line` is called with one at a time, in order.
void for_each_line(const TextPreparation& settings, const std::function<void(std::string_view)>& line);

}  // namespace hinoki
