#include "data/tokenizer.h"

#include <sentencepiece_processor.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "core/base/check.h"
#include "core/base/hash128.h"
#include "data/utf8.h"

namespace hinoki {
namespace {

constexpr size_t kKeptPieces = 1 << 14;
constexpr uintmax_t kLargestModel = uintmax_t{256} << 20;

std::string with_symbol(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n')
      out += kNewlineSymbol;
    else
      out += c;
  }
  return out;
}

std::string with_spaces(std::string_view piece) {
  std::string out;
  while (!piece.empty()) {
    const size_t at = piece.find(kPieceSpace);
    out += piece.substr(0, at);
    if (at == piece.npos) break;
    out += ' ';
    piece.remove_prefix(at + kPieceSpace.size());
  }
  return out;
}

}  // namespace

struct Tokenizer::State {
  sentencepiece::SentencePieceProcessor processor;
  std::string bytes, hash;
  std::vector<std::string> pieces, surfaces;  // by id; a surface is what decoding gives
  std::vector<int> byte_values;
  Newline newline = Newline::plain;
  std::vector<int32_t> newline_ids;
  bool independent = false;
  // Models trained with a dummy prefix lose one leading space in decoding, those that collapse spaces all of them.
  enum class Leading { kept, one_dropped, all_dropped } leading = Leading::kept;
};

Tokenizer::Tokenizer() : state_(std::make_unique<State>()) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

std::filesystem::path Tokenizer::model_path(const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path)) return path;
  const bool other =
      !std::filesystem::exists(path / "spiece.model") && std::filesystem::exists(path / "tokenizer.model");
  return path / (other ? "tokenizer.model" : "spiece.model");
}

Tokenizer Tokenizer::load(const std::filesystem::path& path) {
  const std::filesystem::path file = model_path(path);
  std::ifstream in(file, std::ios::binary);
  require<Exit::data>(in.is_open(), "cannot open the tokenizer ", file, ": ", std::strerror(errno),
                      "; make one with `hinoki tokenizer train`");
  std::error_code unknown;
  const uintmax_t size = std::filesystem::file_size(file, unknown);
  require<Exit::data>(!unknown && size <= kLargestModel, "the tokenizer ", file,
                      " is no sentencepiece model: it takes ", size, " bytes");
  std::ostringstream bytes;
  bytes << in.rdbuf();
  return from_bytes(std::move(bytes).str(), file.string());
}

Tokenizer Tokenizer::from_bytes(std::string model, const std::string& name) {
  Tokenizer t;
  State& s = *t.state_;
  const auto status = s.processor.LoadFromSerializedProto(model);
  require<Exit::data>(!model.empty() && status.ok(), "the tokenizer ", name,
                      " is no sentencepiece model: ", model.empty() ? "the file is empty" : status.message());
  s.hash = hex_of(hash128(model));
  s.bytes = std::move(model);
  const auto& p = s.processor;
  for (int id = 0; id < p.GetPieceSize(); ++id) {
    const std::string& piece = p.IdToPiece(id);
    s.pieces.push_back(piece);
    s.byte_values.push_back(p.IsByte(id) ? int(std::stoul(piece.substr(3, 2), nullptr, 16)) : -1);
    s.surfaces.push_back(p.IsControl(id) ? "" : p.IsUnknown(id) ? p.DecodeIds({id}) : with_spaces(piece));
  }
  const int32_t plain = t.id("\n"), symbol = t.id(kNewlineSymbol);
  if (plain < 0 && symbol >= 0) {
    s.newline = Newline::symbol;
    s.surfaces[symbol] = "\n";
  }
  const std::string doubled =
      p.DecodePieces(std::vector<std::string>{std::string(kPieceSpace), std::string(kPieceSpace), "a"});
  using Leading = State::Leading;
  s.leading = doubled == "  a" ? Leading::kept : doubled == " a" ? Leading::one_dropped : Leading::all_dropped;

  s.newline_ids = plain >= 0 ? std::vector{plain} : symbol >= 0 ? std::vector{symbol} : t.encode("\n");
  std::vector<int32_t> apart = t.encode(" a ");
  apart.insert(apart.end(), s.newline_ids.begin(), s.newline_ids.end());
  for (const int32_t id : t.encode("b")) apart.push_back(id);
  s.independent = !s.newline_ids.empty() && t.encode(" a \nb") == apart;
  return t;
}

std::vector<int32_t> Tokenizer::encode(std::string_view text) const {
  // The library's own Encode to ids makes this message for each call and spends a third of its time in malloc.
  thread_local sentencepiece::ImmutableSentencePieceText encoded;
  const auto status = state_->newline == Newline::symbol && text.find('\n') != text.npos
                          ? state_->processor.Encode(with_symbol(text), encoded.mutable_proto())
                          : state_->processor.Encode(text, encoded.mutable_proto());
  require<Exit::data>(status.ok(), "sentencepiece cannot encode a text of ", text.size(), " bytes: ", status.message());
  std::vector<int32_t> ids(encoded.pieces_size());
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = int32_t(encoded.pieces(int(i)).id());
  if (ids.size() > kKeptPieces) encoded = sentencepiece::ImmutableSentencePieceText();  // its memory stays otherwise
  return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids) const {
  StreamDecoder decoder(*this);
  std::string text;
  for (const int32_t id : ids) text += decoder.feed(id);
  return text += decoder.finish();
}

int32_t Tokenizer::size() const { return int32_t(state_->pieces.size()); }

const std::string& Tokenizer::piece(int32_t id) const {
  require<Exit::data>(id >= 0 && id < size(), "token id ", id, " is not in the vocabulary of ", size(), " pieces");
  return state_->pieces[id];
}

int32_t Tokenizer::id(std::string_view piece) const {
  const int32_t found = state_->processor.PieceToId(piece);  // what is not there becomes <unk>
  return found >= 0 && found < size() && state_->pieces[found] == piece ? found : -1;
}

float Tokenizer::score(int32_t id) const { return piece(id), state_->processor.GetScore(id); }
bool Tokenizer::is_control(int32_t id) const { return piece(id), state_->processor.IsControl(id); }
int Tokenizer::byte_value(int32_t id) const { return piece(id), state_->byte_values[id]; }
int32_t Tokenizer::unknown() const { return state_->processor.unk_id(); }
int32_t Tokenizer::bos() const { return state_->processor.bos_id(); }
int32_t Tokenizer::eos() const { return state_->processor.eos_id(); }
// Models with [PAD] as a mere control symbol have no pad id of their own in the library's sense.
int32_t Tokenizer::pad() const {
  const int32_t own = state_->processor.pad_id();
  return own >= 0 ? own : id("[PAD]");
}
Newline Tokenizer::newline() const { return state_->newline; }
const std::vector<int32_t>& Tokenizer::newline_ids() const { return state_->newline_ids; }
bool Tokenizer::lines_are_independent() const { return state_->independent; }
const std::string& Tokenizer::hash() const { return state_->hash; }
const std::string& Tokenizer::bytes() const { return state_->bytes; }

std::string StreamDecoder::feed(int32_t id) {
  tokenizer_.piece(id);
  const Tokenizer::State& s = *tokenizer_.state_;
  if (s.byte_values[id] >= 0) {
    waiting_ += char(s.byte_values[id]);
    const std::string text = take_bytes(false);
    begun_ |= !text.empty();
    return text;
  }
  std::string text = take_bytes(true);
  begun_ |= !text.empty();
  std::string_view surface = s.surfaces[id];
  using Leading = Tokenizer::State::Leading;
  if (!begun_ && s.leading != Leading::kept && s.pieces[id].starts_with(kPieceSpace)) {
    surface.remove_prefix(1);
    begun_ = s.leading == Leading::one_dropped;
  }
  text += surface;
  begun_ |= !surface.empty();
  return text;
}

std::string StreamDecoder::finish() { return take_bytes(true); }

std::string StreamDecoder::take_bytes(bool all) {
  std::string text;
  std::string_view rest = waiting_;
  while (!rest.empty()) {
    const int length = utf8_length(rest);
    if (length < 0 && !all) break;
    if (length > 0)
      text += rest.substr(0, length);
    else
      text += "\uFFFD";
    rest.remove_prefix(length > 0 ? length : 1);
  }
  waiting_ = std::string(rest);
  return text;
}

std::vector<ExplainedPiece> explain(const Tokenizer& tokenizer, std::string_view text) {
  const auto& s = *tokenizer.state_;
  const std::string input = s.newline == Newline::symbol ? with_symbol(text) : std::string(text);
  sentencepiece::ImmutableSentencePieceText encoded;
  const auto status = s.processor.Encode(input, encoded.mutable_proto());
  require<Exit::data>(status.ok(), "sentencepiece cannot encode the text: ", status.message());
  std::vector<ExplainedPiece> out;
  for (const auto& p : encoded.pieces()) {
    const auto id = int32_t(p.id());
    out.push_back({.id = id, .piece = p.piece(), .surface = p.surface(), .score = tokenizer.score(id)});
  }
  return out;
}

}  // namespace hinoki
