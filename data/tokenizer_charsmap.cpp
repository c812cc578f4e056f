#include "data/tokenizer_charsmap.h"

#include <cstring>

#include "core/base/check.h"
#include "data/utf8.h"

namespace hinoki {
namespace {

// Walks the fields of one protobuf message.
class ProtoFields {
 public:
  ProtoFields(std::string_view bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  bool next() {
    if (at_ == bytes_.size()) return false;
    const uint64_t key = varint();
    number_ = int64_t(key >> 3);
    value_ = 0;
    body_ = {};
    switch (key & 7) {
      case 0:
        value_ = varint();
        break;
      case 1:
        take(8);
        break;
      case 2:
        body_ = take(varint());
        break;
      case 5:
        take(4);
        break;
      default:
        broken("has a field of unknown kind");
    }
    return true;
  }
  int64_t number() const { return number_; }
  bool flag() const { return value_ != 0; }
  uint64_t value() const { return value_; }
  std::string_view body() const { return body_; }

 private:
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == bytes_.size()) broken("ends inside a number");
      const auto byte = uint8_t(bytes_[at_++]);
      value |= uint64_t(byte & 127) << shift;
      if (byte < 128) return value;
    }
    broken("has a number of more than 64 bits");
  }
  std::string_view take(uint64_t size) {
    if (size > bytes_.size() - at_) broken("has a field that goes past its end");
    at_ += size;
    return bytes_.substr(at_ - size, size);
  }
  [[noreturn]] void broken(const char* what) const {
    fail<Exit::data>("the tokenizer ", name_, " is no sentencepiece model: a message ", what, " at byte ", at_);
  }

  std::string_view bytes_;
  const std::string& name_;
  size_t at_ = 0;
  int64_t number_ = 0;
  uint64_t value_ = 0;
  std::string_view body_;
};

PieceKind kind_of(ProtoFields piece) {
  auto kind = PieceKind::normal;
  while (piece.next())
    if (piece.number() == 3) kind = PieceKind(piece.value());
  return kind;
}

std::u32string code_points(std::string_view text, const std::string& name) {
  std::u32string out;
  while (!text.empty()) {
    const int length = utf8_length(text);
    require<Exit::data>(length > 0, "the charsmap of ", name, " holds broken UTF-8");
    auto c = char32_t(uint8_t(text[0]));
    if (length > 1) c &= 0x3f >> (length - 1);
    for (int i = 1; i < length; ++i) c = c << 6 | (uint8_t(text[i]) & 0x3f);
    out += c;
    text.remove_prefix(length);
  }
  return out;
}

// The double-array trie of the darts-clone library: node n's child by byte c is unit n ^ c, if that unit's label is c.
class Trie {
 public:
  Trie(std::string_view bytes, std::string_view strings, const std::string& name)
      : units_(bytes.size() / 4), strings_(strings), name_(name) {
    require<Exit::data>(!units_.empty(), "the charsmap of ", name, " is empty");
    std::memcpy(units_.data(), bytes.data(), units_.size() * 4);
  }

  std::vector<Replacement> entries() {
    visit(offset(units_[0]), 0);
    return std::move(entries_);
  }

 private:
  static constexpr size_t kLongestKey = 64;          // bytes; sentencepiece's own are 12 at most
  static constexpr int64_t kMostVisits = 4'000'000;  // sentencepiece's own take 0.6 million

  static uint32_t offset(uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); }

  void visit(uint32_t base, size_t depth) {
    require<Exit::data>(depth < kLongestKey, "the charsmap of ", name_, " holds a loop or a key of over 64 bytes");
    for (uint32_t c = 1; c < 256; ++c) {
      const uint32_t at = base ^ c;
      if (at >= units_.size() || (units_[at] & (0x80000000u | 0xff)) != c) continue;
      // Equal branches share their units, so a unit may be passed often; in a made-up file, without end.
      require<Exit::data>(++visits_ <= kMostVisits, "the charsmap of ", name_, " has too many branches");
      const uint32_t child = at ^ offset(units_[at]);
      key_ += char(c);
      if (units_[at] >> 8 & 1) add(child);
      visit(child, depth + 1);
      key_.pop_back();
    }
  }
  void add(uint32_t leaf) {
    require<Exit::data>(leaf < units_.size(), "the charsmap of ", name_, " points outside its tree");
    const uint32_t start = units_[leaf] & 0x7fffffffu;
    const size_t end = start < strings_.size() ? strings_.find('\0', start) : strings_.npos;
    require<Exit::data>(end != strings_.npos, "the charsmap of ", name_, " points outside its strings");
    entries_.push_back({code_points(key_, name_), code_points(strings_.substr(start, end - start), name_)});
  }

  std::vector<uint32_t> units_;
  int64_t visits_ = 0;
  std::string_view strings_;
  const std::string& name_;
  std::string key_;
  std::vector<Replacement> entries_;
};

}  // namespace

SpieceSpec spiece_spec(std::string_view model, const std::string& name) {
  enum Message { piece = 1, trainer = 2, normalizer = 3 };
  SpieceSpec spec;
  for (ProtoFields part(model, name); part.next();) {
    if (part.number() == piece) spec.kinds.push_back(kind_of(ProtoFields(part.body(), name)));
    for (ProtoFields f(part.number() == trainer ? part.body() : "", name); f.next();) {
      if (f.number() == 3) spec.unigram = f.value() == 1;
      if (f.number() == 24) spec.whitespace_as_suffix = f.flag();
      if (f.number() == 35) spec.byte_fallback = f.flag();
    }
    for (ProtoFields f(part.number() == normalizer ? part.body() : "", name); f.next();) {
      if (f.number() == 2) spec.charsmap = f.body();
      if (f.number() == 3) spec.add_dummy_prefix = f.flag();
      if (f.number() == 4) spec.remove_extra_whitespaces = f.flag();
      if (f.number() == 5) spec.escape_whitespaces = f.flag();
    }
  }
  return spec;
}

std::vector<Replacement> replacements(std::string_view charsmap, const std::string& name) {
  if (charsmap.empty()) return {};
  uint32_t size = 0;
  require<Exit::data>(charsmap.size() > sizeof size, "the charsmap of ", name, " is too short");
  std::memcpy(&size, charsmap.data(), sizeof size);
  require<Exit::data>(size % 4 == 0 && size <= charsmap.size() - sizeof size, "the charsmap of ", name,
                      " says its tree takes ", size, " bytes, and has ", charsmap.size() - sizeof size);
  charsmap.remove_prefix(sizeof size);
  return Trie(charsmap.substr(0, size), charsmap.substr(size), name).entries();
}

}  // namespace hinoki
