#include "data/chat_corpus.h"

#include <cstring>

#include "data/publish.h"
#include "data/token_shard.h"

namespace hinoki {
namespace {

constexpr int64_t kChatVersion = 1, kTokenChunk = 65536, kExampleChunk = 4096;
constexpr size_t kTokensAtOnce = 1 << 18;  // tokens
constexpr const char* kChatAgain = "delete the folder and run `hinoki data chat` again, or copy it anew";

// All arrays by their own hashes, whatever pieces they came in.
std::string joined(const Hasher128& tokens, const Hasher128& ends, const Hasher128& answers,
                   const Hasher128& answer_ends) {
  return hex_of(tokens.value()) + hex_of(ends.value()) + hex_of(answers.value()) + hex_of(answer_ends.value());
}

template <class T>
void write(Hdf5Dataset& data, Hasher128& hasher, std::vector<T>& values) {
  hasher.add(values.data(), values.size() * sizeof(T));
  data.append(std::span<const T>(values));
  values.clear();
}

template <class T>
std::vector<T> read_hashed(const Hdf5File& file, const char* name, Hasher128& hasher, int64_t width = 1) {
  const Hdf5Dataset data = file.dataset(name);
  require<Exit::data>(data.row_elements() == width && data.type() == dtype_of<T>(), file.path(), ": dataset ", name,
                      " is ", data.type(), " and not what it should be; ", kChatAgain);
  std::vector<T> values(size_t(data.rows() * width));
  data.read(0, std::span(values));
  hasher.add(values.data(), values.size() * sizeof(T));
  return values;
}

template <class T>
std::vector<int32_t> read_tokens(const Hdf5File& file, Hasher128& hasher) {
  const std::vector<T> stored = read_hashed<T>(file, "tokens", hasher);
  return {stored.begin(), stored.end()};
}

// Borders of `what`: they never go back, and end where it does.
void check_ends(const std::filesystem::path& path, const char* what, std::span<const int64_t> ends, size_t end) {
  int64_t before = 0;
  for (const int64_t e : ends) {
    require<Exit::data>(e >= before, path, ": the borders of ", what, " go back; ", kChatAgain);
    before = e;
  }
  require<Exit::data>(before == int64_t(end), path, ": the borders of ", what, " do not cover them; ", kChatAgain);
}

int64_t begin_of(std::span<const int64_t> ends, int64_t i) { return i == 0 ? 0 : ends[size_t(i - 1)]; }

}  // namespace

std::filesystem::path chat_corpus_path(const std::filesystem::path& folder, const std::string& split) {
  return folder / (split + ".h5");
}

ChatCorpusWriter::ChatCorpusWriter(const std::filesystem::path& folder, const ChatCorpusInfo& info)
    : path_(chat_corpus_path(folder, info.split)), info_(info), file_(Hdf5File::create(temporary_name(path_))) {
  tokens_data_ = file_.create_dataset("tokens", {.type = token_type(info.vocabulary_size), .chunk_rows = kTokenChunk});
  ends_data_ = file_.create_dataset("example_ends", {.type = DType::i64, .chunk_rows = kExampleChunk});
  answers_data_ = file_.create_dataset("answers", {.type = DType::i32, .row_shape = {2}, .chunk_rows = kExampleChunk});
  answer_ends_data_ = file_.create_dataset("answer_ends", {.type = DType::i64, .chunk_rows = kExampleChunk});
}

void ChatCorpusWriter::append(const EncodedConversation& example) {
  for (const int32_t id : example.ids)
    require(id >= 0 && id < info_.vocabulary_size, path_, ": token id ", id, " is not in the vocabulary of ",
            info_.vocabulary_size);
  pending_.insert(pending_.end(), example.ids.begin(), example.ids.end());
  for (const Answer& a : example.answers) {
    answers_.insert(answers_.end(), {a.begin, a.end});
    targets_ += a.end - a.begin + 1;
  }
  ends_.push_back(tokens_ += int64_t(example.ids.size()));
  answer_ends_.push_back(answer_count_ += int64_t(example.answers.size()));
  ++examples_;
  if (pending_.size() >= kTokensAtOnce) flush();
}

template <class T>
void ChatCorpusWriter::flush_tokens() {
  std::vector<T> stored(pending_.begin(), pending_.end());
  write(tokens_data_, tokens_hash_, stored);
  pending_.clear();
}

void ChatCorpusWriter::flush() {
  tokens_data_.type() == DType::u16 ? flush_tokens<uint16_t>() : flush_tokens<uint32_t>();
  write(ends_data_, ends_hash_, ends_);
  write(answers_data_, answers_hash_, answers_);
  write(answer_ends_data_, answer_ends_hash_, answer_ends_);
}

void ChatCorpusWriter::publish() {
  flush();
  file_.set("format", "hinoki chat");
  file_.set("version", kChatVersion);
  file_.set("kind", info_.kind);
  file_.set("split", info_.split);
  file_.set("template", info_.chat_template);
  file_.set("tokenizer", info_.tokenizer_hash);
  file_.set("vocabulary_size", info_.vocabulary_size);
  file_.set("end", int64_t(info_.end));
  file_.set("checksum", joined(tokens_hash_, ends_hash_, answers_hash_, answer_ends_hash_));
  for (Hdf5Dataset* data : {&tokens_data_, &ends_data_, &answers_data_, &answer_ends_data_}) *data = Hdf5Dataset();
  file_.close();
  hinoki::publish(path_);
}

ChatCorpus::ChatCorpus(const std::filesystem::path& folder, const std::string& split, const std::string& kind,
                       const std::string& tokenizer_hash)
    : path_(chat_corpus_path(folder, split)) {
  const Hdf5File file = Hdf5File::open(path_);
  require<Exit::data>(file.text("format") == "hinoki chat", path_, " holds no conversations");
  require<Exit::data>(file.integer("version") == kChatVersion, path_, " has version ", file.integer("version"),
                      ", this program reads version ", kChatVersion, "; prepare it again");
  info_ = {.kind = file.text("kind"),
           .split = file.text("split"),
           .chat_template = file.text("template"),
           .tokenizer_hash = file.text("tokenizer"),
           .vocabulary_size = file.integer("vocabulary_size"),
           .end = int32_t(file.integer("end"))};
  require<Exit::data>(kind.empty() || info_.kind == kind, path_, " holds ", info_.kind, ", ", kind, " are needed: `hinoki data ",
                      kind == kConversations ? "chat" : "preferences", "` makes them");
  require<Exit::data>(tokenizer_hash.empty() || info_.tokenizer_hash == tokenizer_hash, path_,
                      " was made with the tokenizer ", info_.tokenizer_hash, ", this one is ", tokenizer_hash,
                      "; prepare the data with this tokenizer, or name the one it was made with");
  Hasher128 tokens, ends, answers, answer_ends;
  tokens_ = token_type(info_.vocabulary_size) == DType::u16 ? read_tokens<uint16_t>(file, tokens)
                                                            : read_tokens<uint32_t>(file, tokens);
  ends_ = read_hashed<int64_t>(file, "example_ends", ends);
  const std::vector<int32_t> pairs = read_hashed<int32_t>(file, "answers", answers, 2);
  answer_ends_ = read_hashed<int64_t>(file, "answer_ends", answer_ends);
  require<Exit::data>(file.text("checksum") == joined(tokens, ends, answers, answer_ends), path_,
                      " is damaged (checksum mismatch); ", kChatAgain);
  for (const int32_t id : tokens_)
    require<Exit::data>(id < info_.vocabulary_size, path_, ": token id ", id, " is not in the vocabulary of ",
                        info_.vocabulary_size, "; ", kChatAgain);
  for (size_t i = 0; i + 1 < pairs.size(); i += 2) answers_.push_back({pairs[i], pairs[i + 1]});
  check_ends(path_, "examples", ends_, tokens_.size());
  check_ends(path_, "answers", answer_ends_, answers_.size());
  require<Exit::data>(answer_ends_.size() == ends_.size(), path_, ": ", ends_.size(), " examples have the answers of ",
                      answer_ends_.size(), "; ", kChatAgain);
  for (int64_t i = 0; i < count(); ++i)
    for (const Answer& a : this->answers(i))
      require<Exit::data>(a.begin > 0 && a.begin < a.end && size_t(a.end) <= ids(i).size(), path_, ": example ", i,
                          " has an answer outside of it; ", kChatAgain);
}

int64_t ChatCorpus::targets() const {
  int64_t n = 0;
  for (const Answer& a : answers_) n += a.end - a.begin + 1;
  return n;
}

std::span<const int32_t> ChatCorpus::ids(int64_t i) const {
  return std::span(tokens_).subspan(size_t(begin_of(ends_, i)), size_t(ends_[size_t(i)] - begin_of(ends_, i)));
}

std::span<const Answer> ChatCorpus::answers(int64_t i) const {
  const int64_t begin = begin_of(answer_ends_, i);
  return std::span(answers_).subspan(size_t(begin), size_t(answer_ends_[size_t(i)] - begin));
}

}  // namespace hinoki
