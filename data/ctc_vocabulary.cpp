#include "data/ctc_vocabulary.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <set>

#include "core/base/file.h"
#include "core/base/in_quotes.h"
#include "core/base/json.h"
#include "data/text_clean.h"
#include "data/utf8.h"

namespace hinoki {
namespace {

constexpr int64_t kMostTokens = 1 << 20;
constexpr int64_t kMostJson = 64 << 20;
const std::vector<std::string> kSpecial = {"<pad>", "<s>", "</s>", "<unk>", "|"};

// body(character) for each of well-formed UTF-8.
template <class Body>
void each_character(std::string_view text, Body&& body) {
  for (size_t at = 0; at < text.size();) {
    const int length = utf8_length(text.substr(at));
    require<Exit::data>(length > 0, "a transcript has broken UTF-8 at byte ", at);
    body(text.substr(at, size_t(length)));
    at += size_t(length);
  }
}

UChar32 code_point(std::string_view character) {
  UChar32 c = 0;
  int32_t at = 0;
  U8_NEXT(character.data(), at, int32_t(character.size()), c);
  return c;
}

// Fails where the file is larger than anything sensible.
Json read_json(const std::string& file) {
  Json json = parse_json(read_file(file, kMostJson), file);
  require<Exit::data>(json.is_object(), file, ": not an object");
  return json;
}

}  // namespace

std::string normal_transcript(std::string_view text, const TranscriptRules& rules) {
  std::string clean, normal;
  int64_t replaced = 0;
  const auto broken = clean_line(text, {.broken = BrokenText::fail, .nfkc = rules.nfkc}, clean, replaced);
  require<Exit::data>(!broken, "a transcript has broken UTF-8 at byte ", broken.value_or(0));
  bool space = false;
  each_character(clean, [&](std::string_view c) {
    const UChar32 point = code_point(c);
    if (u_isUWhiteSpace(point)) {
      space = true;
    } else if (rules.punctuation || !u_ispunct(point)) {
      if (space && !normal.empty()) normal += ' ';
      space = false;
      normal += c;
    }
  });
  return normal;
}

std::string transcript_of(const UtteranceTexts& texts, const TranscriptRules& rules) {
  return normal_transcript(rules.unit == TranscriptUnit::kana ? texts.kana : texts.transcript, rules);
}

CtcVocabulary CtcVocabulary::of(const SpeechCorpus& corpus, const TranscriptRules& rules, int64_t least) {
  std::map<std::string, int64_t, std::less<>> counts;
  for (int64_t u = 0; u < corpus.utterances(); ++u)
    each_character(transcript_of(corpus.texts(u), rules), [&](std::string_view c) {
      const auto at = counts.find(c);
      ++(at == counts.end() ? counts.emplace(c, 0).first : at)->second;
    });
  require<Exit::data>(!counts.empty(), corpus.folder().string(), ": none of ", corpus.utterances(),
                      " utterances has a transcript",
                      rules.unit == TranscriptUnit::kana ? " in kana; `unit = \"characters\"` takes the others" : "");
  return of(counts, least);
}

// Bytes of UTF-8 sort as their code points do.
CtcVocabulary CtcVocabulary::of(const std::map<std::string, int64_t, std::less<>>& counts, int64_t least) {
  CtcVocabulary made;
  made.tokens_ = kSpecial;
  for (const auto& [character, count] : counts)
    if (count >= least && character != " " && character != "|") made.tokens_.push_back(character);
  require<Exit::data>(made.tokens_.size() > kSpecial.size(), "no character comes ", least,
                      " times: there is nothing to spell with");
  made.special_ = {0, 1, 2, 3};
  made.index();
  return made;
}

void CtcVocabulary::index() {
  for (size_t id = 0; id < tokens_.size(); ++id) ids_.emplace(tokens_[id], int32_t(id));
  std::sort(special_.begin(), special_.end());
}

CtcVocabulary CtcVocabulary::load(const std::string& folder) {
  const std::string file = folder + "/vocab.json";
  const Json json = read_json(file);
  require<Exit::data>(!json.empty() && int64_t(json.size()) <= kMostTokens, file, ": ", json.size(),
                      " tokens are no vocabulary");
  CtcVocabulary made;
  made.tokens_.resize(json.size());
  std::set<int64_t> seen;
  for (const auto& [token, id] : json.items()) {
    require<Exit::data>(id.is_number_integer() && id.get<int64_t>() >= 0 && id.get<int64_t>() < int64_t(json.size()) &&
                            seen.insert(id.get<int64_t>()).second,
                        file, ": ", in_quotes(token), " has the id ", id.dump(), "; ids are 0 to ", json.size() - 1,
                        ", each once");
    made.tokens_[id.get<size_t>()] = token;
  }
  made.index();
  // The names of special tokens: transformers' defaults, then what the files say.
  std::map<std::string, std::string> names = {{"pad_token", "<pad>"},
                                              {"bos_token", "<s>"},
                                              {"eos_token", "</s>"},
                                              {"unk_token", "<unk>"},
                                              {"word_delimiter_token", "|"}};
  for (const char* other : {"/special_tokens_map.json", "/tokenizer_config.json"}) {
    if (!is_file(folder + other)) continue;
    const Json said = read_json(folder + other);
    for (auto& [key, token] : names)
      if (const auto found = said.find(key); found != said.end()) {
        if (found->is_string()) token = found->get<std::string>();
        if (found->is_object() && found->contains("content") && (*found)["content"].is_string())
          token = (*found)["content"].get<std::string>();
      }
  }
  const auto id_of = [&](const char* key) {
    const auto at = made.ids_.find(names.at(key));
    return at == made.ids_.end() ? int32_t(-1) : at->second;
  };
  made.blank_ = id_of("pad_token"), made.unknown_ = id_of("unk_token"), made.space_ = id_of("word_delimiter_token");
  require<Exit::data>(made.blank_ >= 0, file, ": lacks ", in_quotes(names.at("pad_token")), ", the blank of CTC");
  for (const char* key : {"pad_token", "bos_token", "eos_token", "unk_token"})
    if (id_of(key) >= 0) made.special_.push_back(id_of(key));
  std::sort(made.special_.begin(), made.special_.end());
  return made;
}

CtcVocabulary::Encoded CtcVocabulary::encode(std::string_view text) const {
  Encoded encoded;
  each_character(text, [&](std::string_view c) {
    int32_t id = -1;
    if (c == " ") {
      id = space_;
      if (id < 0) return;  // white space is nothing to such a vocabulary
    } else if (const auto at = ids_.find(c); at != ids_.end() && at->second != space_ &&
                                             !std::binary_search(special_.begin(), special_.end(), at->second)) {
      id = at->second;
    }
    if (id < 0) encoded.foreign.emplace_back(c);
    if (id < 0) id = unknown_;
    if (id >= 0) encoded.ids.push_back(id);
  });
  return encoded;
}

std::string CtcVocabulary::text_of(int32_t id) const {
  if (std::binary_search(special_.begin(), special_.end(), id)) return "";
  return id == space_ ? " " : token(id);
}

std::string CtcVocabulary::decode(std::span<const int32_t> ids) const {
  std::string text;
  for (const int32_t id : ids) text += text_of(id);
  const size_t begin = text.find_first_not_of(' '), end = text.find_last_not_of(' ');
  return begin == std::string::npos ? "" : text.substr(begin, end - begin + 1);
}

void CtcVocabulary::write(const std::string& folder) const {
  const auto save = [&](const char* name, const OrderedJson& json) {
    FileWriter file = FileWriter::create(folder + "/" + name);
    file.write(json.dump(2) + "\n");
    file.close();
  };
  OrderedJson vocabulary;
  for (size_t id = 0; id < tokens_.size(); ++id) vocabulary[tokens_[id]] = id;
  OrderedJson special = {{"pad_token", token(blank_)}};
  for (const auto& [key, name] : {std::pair{"bos_token", "<s>"}, {"eos_token", "</s>"}})
    if (ids_.contains(name)) special[key] = name;
  if (unknown_ >= 0) special["unk_token"] = token(unknown_);
  OrderedJson config = special;
  config["tokenizer_class"] = "Wav2Vec2CTCTokenizer";
  config["processor_class"] = "Wav2Vec2Processor";
  if (space_ >= 0) config["word_delimiter_token"] = token(space_);
  config["do_lower_case"] = false;
  config["clean_up_tokenization_spaces"] = false;
  save("vocab.json", vocabulary);
  save("special_tokens_map.json", special);
  save("tokenizer_config.json", config);
}

}  // namespace hinoki
