// What a recogniser spells in: the characters of its transcripts, as transformers' Wav2Vec2CTCTokenizer numbers them.
//
//   0 <pad>  the blank of CTC        3 <unk>  any other character
//   1 <s>                            4 |      white space
//   2 </s>                           5 ...    characters, by code point
#pragma once
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/speech_corpus.h"

namespace hinoki {

enum class TranscriptUnit { characters, kana };  // kanji and kana as they are written, or as they are read

// How transcripts become what a recogniser learns, and what its errors are counted against.
struct TranscriptRules {
  TranscriptUnit unit = TranscriptUnit::characters;
  bool nfkc = true;          // Unicode's compatibility composition: half-width kana, full-width letters and digits
  bool punctuation = false;  // without it nothing of Unicode's classes P (punctuation) is left
};

// The transcript of an utterance by the rules: white space is single spaces inside. Empty: there is none, or nothing of
// it is left.
std::string transcript_of(const UtteranceTexts& texts, const TranscriptRules& rules);
std::string normal_transcript(std::string_view text, const TranscriptRules& rules);

class CtcVocabulary {
 public:
  // Of all characters that come at least `least` times in the corpus's transcripts. Exit::data if there are none.
  static CtcVocabulary of(const SpeechCorpus& corpus, const TranscriptRules& rules, int64_t least = 1);
  static CtcVocabulary of(const std::map<std::string, int64_t, std::less<>>& counts, int64_t least = 1);
  // FOLDER/vocab.json, with the special tokens that special_tokens_map.json or tokenizer_config.json name, if they are
  // there. Exit::data on what is not a vocabulary.
  static CtcVocabulary load(const std::string& folder);

  int64_t size() const { return int64_t(tokens_.size()); }
  int32_t blank() const { return blank_; }
  int32_t unknown() const { return unknown_; }  // -1: the vocabulary has no such token
  const std::string& token(int32_t id) const { return tokens_.at(size_t(id)); }

  struct Encoded {
    std::vector<int32_t> ids;
    std::vector<std::string> foreign;  // characters that the vocabulary lacks, each time they come
  };
  // `text` as transcript_of gives it. Characters that the vocabulary lacks become unknown() if there is one, or
  // nothing.
  Encoded encode(std::string_view text) const;
  // Special tokens say nothing. One id at a time: the empty text, a space, or a character.
  std::string text_of(int32_t id) const;
  std::string decode(std::span<const int32_t> ids) const;  // without spaces at its ends

  // Writes vocab.json, tokenizer_config.json and special_tokens_map.json of a Wav2Vec2CTCTokenizer.
  void write(const std::string& folder) const;
  bool operator==(const CtcVocabulary&) const = default;

 private:
  CtcVocabulary() = default;
  void index();

  std::vector<std::string> tokens_;
  std::map<std::string, int32_t, std::less<>> ids_;
  std::vector<int32_t> special_;  // that say nothing
  int32_t blank_ = 0, unknown_ = 3, space_ = 4;
};

}  // namespace hinoki
