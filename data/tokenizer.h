// Text to token ids and back through the sentencepiece library. Ids are the library's own.
// A newline is a piece of the vocabulary: either "\n" itself, or the user symbol <NL> that stands for it (Newline
// below). The policy is read off the vocabulary, so no file beside spiece.model is needed. With <NL>, text that spells
// out "<NL>" cannot be told from a newline.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hinoki {

enum class Newline { plain, symbol };
inline constexpr std::string_view kNewlineSymbol = "<NL>";
inline constexpr std::string_view kPieceSpace = "\u2581";  // stands in pieces for a blank

struct ExplainedPiece;

class Tokenizer {
 public:
  // `path` is a sentencepiece model or a folder that holds one as spiece.model (or tokenizer.model).
  static Tokenizer load(const std::filesystem::path& path);
  static std::filesystem::path model_path(const std::filesystem::path& path);  // the file that load() reads
  static Tokenizer from_bytes(std::string model, const std::string& name);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // All of these may be called from several threads at once.
  std::vector<int32_t> encode(std::string_view text) const;
  // Unknown and incomplete bytes become U+FFFD; control symbols (<s>, </s>, [PAD]) vanish.
  std::string decode(std::span<const int32_t> ids) const;

  int32_t size() const;
  const std::string& piece(int32_t id) const;  // as stored: U+2581 stands for a space
  int32_t id(std::string_view piece) const;    // -1 if there is none
  float score(int32_t id) const;
  bool is_control(int32_t id) const;
  int byte_value(int32_t id) const;  // of a byte-fallback piece such as <0xE3>, else -1
  // -1 where the model has none.
  int32_t unknown() const;
  int32_t bos() const;
  int32_t eos() const;
  int32_t pad() const;

  Newline newline() const;
  // What stands between two lines; empty if this model cannot say newline.
  const std::vector<int32_t>& newline_ids() const;
  // Whether lines encoded one by one, with newline_ids() between them, give the ids of the whole text.
  bool lines_are_independent() const;
  const std::string& hash() const;   // XXH3-128 of the model's bytes, in hexadecimal
  const std::string& bytes() const;  // the model file

 private:
  friend class StreamDecoder;
  friend std::vector<ExplainedPiece> explain(const Tokenizer&, std::string_view);
  Tokenizer();
  struct State;
  std::unique_ptr<State> state_;
};

// Decodes ids one by one, for generation. Never gives half a character: bytes wait until they form a whole one. All
// that was given, together with finish(), is what Tokenizer::decode says of the same ids.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}
  std::string feed(int32_t id);
  std::string finish();  // what waits is broken then

 private:
  std::string take_bytes(bool all);

  const Tokenizer& tokenizer_;
  std::string waiting_;  // the bytes of a character whose end has not come
  bool begun_ = false;   // some text was given, so spaces at its beginning are over
};

// One piece of an encoded text, for people.
struct ExplainedPiece {
  int32_t id;
  std::string piece;
  std::string surface;  // the bytes of the input it came from
  float score;
};
std::vector<ExplainedPiece> explain(const Tokenizer& tokenizer, std::string_view text);

}  // namespace hinoki
