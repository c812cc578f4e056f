#include "data/tokenizer_export.h"

#include <algorithm>
#include <map>
#include <set>

#include "core/base/check.h"
#include "core/base/file.h"
#include "data/tokenizer_charsmap.h"
#include "data/utf8.h"

namespace hinoki {
namespace {

// Pieces that no text can spell (<s>, <0x41>) lie in the same tree as all others there. Nothing prefers them at this
// score.
constexpr double kNeverChosen = -1e6;
// Noncharacters, which no text for exchange may hold: they stand for things while the normaliser is at work.
constexpr char32_t kBar = 0x10fffe, kNewline = 0x10ffff;

std::string utf8_of(char32_t c) {
  std::string out;
  append_utf8(out, c);
  return out;
}

// A pattern in the syntax of Oniguruma, where every character is written by its number: none has a meaning.
std::string pattern_of(char32_t c) {
  char out[16];
  std::snprintf(out, sizeof out, "\\x{%X}", unsigned(c));
  return out;
}
std::string pattern_of(const std::set<char32_t>& characters) {
  std::string out = "[";
  for (auto first = characters.begin(); first != characters.end();) {
    auto last = first;
    while (std::next(last) != characters.end() && *std::next(last) == *last + 1) ++last;
    out += pattern_of(*first);
    if (last != first) out += "-" + pattern_of(*last);
    first = std::next(last);
  }
  return out + "]";
}

OrderedJson replace_regex(const std::string& pattern, std::string_view by) {
  return {{"type", "Replace"}, {"pattern", {{"Regex", pattern}}}, {"content", by}};
}
OrderedJson replace_text(std::string_view text, std::string_view by) {
  return {{"type", "Replace"}, {"pattern", {{"String", text}}}, {"content", by}};
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t n = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j) group = group << 8 | (j < n ? uint8_t(bytes[i + j]) : 0);
    for (size_t j = 0; j < 4; ++j) out += j <= n ? digits[group >> (18 - 6 * j) & 63] : '=';
  }
  return out;
}

// The library's charsmap in the tokenizers library's terms. Its own "Precompiled" looks at one grapheme cluster at a
// time and takes the shortest entry for it, which loses marks and leaves half-width kana and decomposed kana apart. So:
//   1. a bar goes before every character that could continue a cluster, two bars where the character before it
//      becomes nothing or several (no entry joins those): now every character is a cluster of its own;
//   2. Precompiled replaces single characters;
//   3. the bar goes again from between characters that an entry joins, and NFC joins them; it sees no others, because a
//      bar keeps it from composing and from reordering;
//   4. the other bars go.
// The entries of several characters are canonical compositions of what the single ones give, which the test of this
// file checks for each of them.
class ClusterBars {
 public:
  explicit ClusterBars(const std::vector<Replacement>& entries) {
    for (const Replacement& e : entries)
      if (e.from.size() == 1) {
        singles_[e.from[0]] = e.to;
        if (e.to.size() != 1) unlike_.insert(e.from[0]);
      }
    for (const Replacement& e : entries) {
      if (e.from.size() == 1 || e.from == e.to) continue;
      const bool mapped = std::any_of(e.from.begin(), e.from.end(), [&](char32_t c) { return singles_.count(c); });
      // Jamo never get a bar: NFC may join them as they stand.
      if (!mapped && !is_jamo(e.from[0])) joined_[e.from.substr(1)].insert(e.from[0]);
      if (e.from.size() == 2) joined_to_[e.from[1]].insert(e.from[0]);
    }
  }

  void append_to(OrderedJson& steps, const std::string& charsmap) const {
    steps.push_back(replace_regex(places_for_bars(), utf8_of(kBar)));
    const std::string second = bars_to_double();
    if (!second.empty()) steps.push_back(replace_regex(second, utf8_of(kBar) + utf8_of(kBar)));
    steps.push_back({{"type", "Precompiled"}, {"precompiled_charsmap", base64(charsmap)}});
    if (!joined_.empty()) steps.push_back(replace_regex(bars_inside_joined(), ""));
    steps.push_back({{"type", "NFC"}});
    steps.push_back(replace_text(utf8_of(kBar), ""));
  }

 private:
  static bool is_jamo(char32_t c) { return c >= 0x1100 && c <= 0x11ff; }

  // Before marks, joiners, half-width voicing marks, the Thai and Lao vowels that continue a cluster, emoji modifiers
  // and tags (not at the very beginning: there is nothing to continue, and an insertion there upsets the tokenizers
  // library); inside a line end, which is one cluster; and before Korean vowels and finals that NFC would join to a
  // syllable, or to a consonant on the far side of a character that vanishes: no entry does.
  std::string places_for_bars() const {
    std::set<char32_t> apart = unlike_;
    for (char32_t c = 0xac00; c < 0xd7a4; c += 28) apart.insert(c);
    return "(?!\\A)(?=[\\p{M}\\x{200C}\\x{200D}\\x{FF9E}\\x{FF9F}\\x{E33}\\x{EB3}\\x{1F3FB}-\\x{1F3FF}"
           "\\x{E0020}-\\x{E007F}])|(?<=\\x{D})(?=\\x{A})|(?<=" +
           pattern_of(apart) + ")(?=[\\x{1160}-\\x{11FF}\\x{3130}-\\x{318F}\\x{FFA0}-\\x{FFDC}])";
  }
  // Behind characters that become nothing or several, which no entry joins to what follows; and before marks that
  // become several, unless an entry joins just this one. The bar stands first in the pattern so that it can be searched
  // for.
  std::string bars_to_double() const {
    if (unlike_.empty()) return "";
    std::string out = bar_ + "(?:(?<=" + pattern_of(unlike_) + bar_ + ")";
    std::set<char32_t> never_joined;
    for (const char32_t mark : unlike_) {
      const auto bases = joined_to_.find(mark);
      if (bases == joined_to_.end())
        never_joined.insert(mark);
      else
        out += "|(?=" + pattern_of(mark) + ")(?<!" + pattern_of(bases->second) + bar_ + ")";
    }
    return out + "|(?=" + pattern_of(never_joined) + "))";
  }
  // Of base, bar, mark, bar, mark: either bar, seen from both sides.
  std::string bars_inside_joined() const {
    std::string out;
    for (const auto& [marks, bases] : joined_)
      for (size_t n = 0; n < marks.size(); ++n) {
        std::string before = pattern_of(bases) + bar_, after = pattern_of(marks[n]);
        for (size_t i = 0; i < n; ++i) before += pattern_of(marks[i]) + bar_;
        for (size_t i = n + 1; i < marks.size(); ++i) after += bar_ + pattern_of(marks[i]);
        out += (out.empty() ? "(?=" : "|(?=") + after + ")(?<=" + before + ")";
      }
    return bar_ + "(?:" + out + ")";
  }

  const std::string bar_ = pattern_of(kBar);
  std::map<char32_t, std::u32string> singles_;
  std::set<char32_t> unlike_;                            // those that become nothing or several
  std::map<std::u32string, std::set<char32_t>> joined_;  // marks -> what they follow; of characters no entry replaces
  std::map<char32_t, std::set<char32_t>> joined_to_;     // the same for one mark, of all characters
};

OrderedJson normalizer(const Tokenizer& tokenizer, const SpieceSpec& spec, const std::string& name) {
  OrderedJson steps = OrderedJson::array();
  // The newline becomes a piece that the model finds by its score, the highest of all; no entry may touch it on the
  // way.
  const bool symbol = tokenizer.newline() == Newline::symbol;
  if (symbol) steps.push_back(replace_text("\n", utf8_of(kNewline)));
  if (!spec.charsmap.empty()) ClusterBars(replacements(spec.charsmap, name)).append_to(steps, spec.charsmap);
  if (spec.remove_extra_whitespaces) {
    steps.push_back(replace_regex("\\A +| +\\z", ""));
    steps.push_back(replace_regex(" +", " "));
  }
  if (spec.add_dummy_prefix) steps.push_back({{"type", "Prepend"}, {"prepend", " "}});
  if (spec.escape_whitespaces) steps.push_back(replace_text(" ", kPieceSpace));
  if (symbol) steps.push_back(replace_text(utf8_of(kNewline), kNewlineSymbol));
  if (steps.empty()) return nullptr;
  return {{"type", "Sequence"}, {"normalizers", steps}};
}

OrderedJson decoder(const Tokenizer& tokenizer, const SpieceSpec& spec) {
  OrderedJson steps = OrderedJson::array();
  if (tokenizer.newline() == Newline::symbol) steps.push_back(replace_text(kNewlineSymbol, "\n"));
  if (tokenizer.unknown() >= 0)
    steps.push_back(
        replace_text(tokenizer.piece(tokenizer.unknown()), tokenizer.decode(std::vector{tokenizer.unknown()})));
  steps.push_back(replace_text(kPieceSpace, " "));
  if (spec.byte_fallback) steps.push_back({{"type", "ByteFallback"}});
  steps.push_back({{"type", "Fuse"}});
  if (spec.add_dummy_prefix) steps.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  return {{"type", "Sequence"}, {"decoders", steps}};
}

struct Vocabulary {
  OrderedJson pieces = OrderedJson::array(), added = OrderedJson::array();
};

Vocabulary vocabulary(const Tokenizer& tokenizer, const SpieceSpec& spec) {
  Vocabulary out;
  for (int32_t id = 0; id < tokenizer.size(); ++id) {
    const PieceKind kind = spec.kinds.at(id);
    const bool special = kind == PieceKind::control || kind == PieceKind::unknown;
    const bool chosen = kind == PieceKind::normal || kind == PieceKind::user_symbol;
    out.pieces.push_back({tokenizer.piece(id), chosen ? double(tokenizer.score(id)) : kNeverChosen});
    if (special || kind == PieceKind::user_symbol)
      out.added.push_back({{"id", id},
                           {"content", tokenizer.piece(id)},
                           {"single_word", false},
                           {"lstrip", false},
                           {"rstrip", false},
                           {"normalized", false},
                           {"special", special}});
  }
  return out;
}

// {"bos_token": "<s>", ...} of the tokens that the model has.
Json special_tokens(const Tokenizer& tokenizer) {
  OrderedJson out = OrderedJson::object();
  const auto add = [&](const char* key, int32_t id) {
    if (id >= 0) out[key] = tokenizer.piece(id);
  };
  add("bos_token", tokenizer.bos());
  add("eos_token", tokenizer.eos());
  add("unk_token", tokenizer.unknown());
  add("pad_token", tokenizer.pad());
  return out;
}

std::string as_file(const OrderedJson& json) { return json.dump(1) + "\n"; }

}  // namespace

OrderedJson tokenizer_json(const Tokenizer& tokenizer, const std::string& name) {
  const SpieceSpec spec = spiece_spec(tokenizer.bytes(), name);
  require<Exit::data>(spec.unigram && !spec.whitespace_as_suffix, "the tokenizer ", name,
                      " is no unigram model with spaces before words: tokenizer.json is not written for others");
  require<Exit::data>(int64_t(spec.kinds.size()) == tokenizer.size(), "the tokenizer ", name, " lists ",
                      spec.kinds.size(), " pieces and has ", tokenizer.size());
  Vocabulary all = vocabulary(tokenizer, spec);
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", std::move(all.added)},
          {"normalizer", normalizer(tokenizer, spec, name)},
          {"pre_tokenizer", nullptr},
          {"post_processor", nullptr},
          {"decoder", decoder(tokenizer, spec)},
          {"model",
           {{"type", "Unigram"},
            {"unk_id", tokenizer.unknown()},
            {"vocab", std::move(all.pieces)},
            {"byte_fallback", spec.byte_fallback}}}};
}

void export_tokenizer(const std::filesystem::path& spiece_model, const std::filesystem::path& folder,
                      const std::string& chat_template) {
  const Tokenizer tokenizer = Tokenizer::load(spiece_model);
  OrderedJson config = {
      {"tokenizer_class", "PreTrainedTokenizerFast"},
      {"clean_up_tokenization_spaces", false},
      // Text that spells </s> is text, as for sentencepiece: nothing outside can forge a control token.
      {"split_special_tokens", true}};
  const OrderedJson specials = special_tokens(tokenizer);
  config.update(specials);
  if (!chat_template.empty()) config["chat_template"] = chat_template;
  const std::string tokenizer_file = as_file(tokenizer_json(tokenizer, spiece_model.string()));
  write_file_durably(folder / "spiece.model", tokenizer.bytes());
  write_file_durably(folder / "tokenizer.json", tokenizer_file);
  write_file_durably(folder / "tokenizer_config.json", as_file(config));
  write_file_durably(folder / "special_tokens_map.json", as_file(specials));
}

}  // namespace hinoki
