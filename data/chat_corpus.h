// Prepared conversations: one HDF5 file a split, and all of it in memory when it is read, for such corpora are small.
//
//   tokens        uint16 (vocabularies up to 65536) or uint32: one example after the other, without end-of-text ids
//   example_ends  int64: where each ends in `tokens`
//   answers       int32 [n, 2]: [begin, end) in the example, of what the assistant says
//   answer_ends   int64: where the answers of each example end in `answers`
//
// and attributes: format, version, kind, split, template, tokenizer (hash), vocabulary_size, end (the id that follows
// every answer), and a checksum of all arrays. Of preferences, examples 2 k and 2 k + 1 are one question with the
// chosen and the rejected answer.
#pragma once
#include <filesystem>
#include <span>

#include "core/base/hash128.h"
#include "data/chat_template.h"
#include "data/hdf5.h"

namespace hinoki {

inline constexpr const char* kConversations = "conversations";
inline constexpr const char* kPreferences = "preferences";

struct ChatCorpusInfo {
  std::string kind;            // kConversations or kPreferences
  std::string split;           // "train" or "validation"
  std::string chat_template;   // ChatTemplate::name()
  std::string tokenizer_hash;  // Tokenizer::hash()
  int64_t vocabulary_size = 0;
  int32_t end = -1;  // of the text
};

std::filesystem::path chat_corpus_path(const std::filesystem::path& folder, const std::string& split);

class ChatCorpusWriter {
 public:
  ChatCorpusWriter(const std::filesystem::path& folder, const ChatCorpusInfo& info);
  void append(const EncodedConversation& example);
  int64_t examples() const { return examples_; }
  int64_t tokens() const { return tokens_; }
  int64_t targets() const { return targets_; }  // tokens of answers and the ends of text after them
  void publish();  // from here on the file is there under its name

 private:
  void flush();
  template <class T>
  void flush_tokens();

  std::filesystem::path path_;
  ChatCorpusInfo info_;
  Hdf5File file_;
  Hdf5Dataset tokens_data_, ends_data_, answers_data_, answer_ends_data_;
  std::vector<int32_t> pending_, answers_;
  std::vector<int64_t> ends_, answer_ends_;
  Hasher128 tokens_hash_, ends_hash_, answers_hash_, answer_ends_hash_;
  int64_t examples_ = 0, tokens_ = 0, answer_count_ = 0, targets_ = 0;
};

class ChatCorpus {
 public:
  // Of another kind, another tokenizer or damaged: Exit::data with what to do. Where `kind` or `tokenizer_hash` is
  // empty, any will do.
  ChatCorpus(const std::filesystem::path& folder, const std::string& split, const std::string& kind,
             const std::string& tokenizer_hash);

  const ChatCorpusInfo& info() const { return info_; }
  const std::filesystem::path& path() const { return path_; }
  int64_t count() const { return int64_t(ends_.size()); }
  int64_t tokens() const { return int64_t(tokens_.size()); }
  int64_t targets() const;  // tokens of answers and the ends of text after them
  std::span<const int32_t> ids(int64_t example) const;
  std::span<const Answer> answers(int64_t example) const;

 private:
  std::filesystem::path path_;
  ChatCorpusInfo info_;
  std::vector<int32_t> tokens_;
  std::vector<int64_t> ends_, answer_ends_;
  std::vector<Answer> answers_;
};

}  // namespace hinoki
