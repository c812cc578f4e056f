#include "data/speech_manifest.h"

#include <algorithm>
#include <array>

#include "core/base/in_quotes.h"
#include "core/base/json.h"
#include "data/line_reader.h"

namespace hinoki {
namespace {

namespace fs = std::filesystem;

constexpr size_t kLongestRow = kLongestText;

// What one line says, before it is checked.
struct Raw {
  std::string path, transcript, id, kana;
};

class Manifest : public SpeechInput {
 public:
  explicit Manifest(const fs::path& path) : folder_(path.parent_path()), lines_(path, kLongestRow) {}

  std::optional<SpeechEntry> next() override {
    while (lines_.next(line_)) {
      SpeechEntry entry{.place = lines_.place(), .path = {}, .texts = {}, .error = {}};
      try {
        if (line_.too_long) refuse(SpeechFault::manifest, "the line has more than ", kLongestRow, " bytes");
        if (line_.text.find('\0') != std::string::npos) refuse(SpeechFault::manifest, "the line holds a zero byte");
        const std::optional<Raw> raw = parse(line_.text);
        if (!raw) continue;
        take(*raw, entry);
      } catch (const SpeechError& e) {
        entry.error = e;
      }
      return entry;
    }
    return std::nullopt;
  }

 protected:
  virtual std::optional<Raw> parse(const std::string& line) = 0;  // nothing: the line names no utterance, and need not
  std::string place() const { return lines_.place(); }
  int64_t number() const { return lines_.number(); }

 private:
  void take(const Raw& raw, SpeechEntry& entry) {
    if (raw.path.empty()) refuse(SpeechFault::manifest, "the line names no path");
    if (raw.path.find('\0') != std::string::npos) refuse(SpeechFault::manifest, "the path holds a zero byte");
    entry.path = folder_ / raw.path;  // an absolute one stays as it is
    entry.texts.id = clean_speech_text(raw.id, "id");
    if (entry.texts.id.empty())
      entry.texts.id = clean_speech_text(fs::path(raw.path).replace_extension().string(), "path");
    entry.texts.transcript = clean_speech_text(raw.transcript, "transcript");
    entry.texts.kana = clean_speech_text(raw.kana, "kana");
  }

  fs::path folder_;
  LineReader lines_;
  LineReader::Line line_;
};

bool is_blank_row(std::string_view line) { return line.find_first_not_of(" \t") == line.npos; }

class Tsv : public Manifest {
 public:
  using Manifest::Manifest;

 private:
  static constexpr std::array kNames = {"path", "transcript", "id", "kana"};
  using Field = std::string Raw::*;
  static constexpr std::array<Field, 4> kFields = {&Raw::path, &Raw::transcript, &Raw::id, &Raw::kana};

  static std::vector<std::string> split(const std::string& line) {
    std::vector<std::string> fields;
    for (size_t at = 0; at <= line.size();) {
      const size_t end = std::min(line.find('\t', at), line.size());
      fields.push_back(line.substr(at, end - at));
      at = end + 1;
    }
    return fields;
  }

  bool is_header(const std::vector<std::string>& names) {
    if (std::find(names.begin(), names.end(), "path") == names.end()) return false;
    columns_.clear();
    for (const std::string& name : names) {
      const auto found = size_t(std::find(kNames.begin(), kNames.end(), name) - kNames.begin());
      columns_.push_back(found < kNames.size() ? kFields[found] : nullptr);
      require<Exit::data>(!columns_.back() || std::count(columns_.begin(), columns_.end(), columns_.back()) == 1,
                          place(), ": two columns have the name ", in_quotes(name));
    }
    return true;
  }

  std::optional<Raw> parse(const std::string& line) override {
    if (is_blank_row(line)) return std::nullopt;
    const std::vector<std::string> fields = split(line);
    if (number() == 1 && is_header(fields)) return std::nullopt;
    if (fields.size() > columns_.size())
      refuse(SpeechFault::manifest, "the line has ", fields.size(), " columns, there are ", columns_.size());
    Raw raw;
    for (size_t i = 0; i < fields.size(); ++i)
      if (columns_[i]) raw.*columns_[i] = fields[i];
    return raw;
  }

  std::vector<Field> columns_{kFields.begin(), kFields.end()};
};

class JsonLines : public Manifest {
 public:
  using Manifest::Manifest;

 private:
  static std::string text(const Json& record, const char* key) {
    const auto found = record.find(key);
    if (found == record.end() || found->is_null()) return {};
    if (!found->is_string()) refuse(SpeechFault::manifest, "\"", key, "\" is not a string");
    return found->get<std::string>();
  }

  std::optional<Raw> parse(const std::string& line) override {
    if (is_blank_row(line)) return std::nullopt;
    Json record;
    try {
      record = parse_json(line, "the record");
    } catch (const Error& e) {
      // The library takes broken UTF-8 for broken JSON.
      clean_speech_text(line, "record");
      refuse(SpeechFault::manifest, e.what());
    }
    if (!record.is_object()) refuse(SpeechFault::manifest, "the record is not an object");
    return Raw{.path = text(record, "path"),
               .transcript = text(record, "transcript"),
               .id = text(record, "id"),
               .kana = text(record, "kana")};
  }
};

struct IdAndRest {
  std::string id, rest;
};

IdAndRest split_id(const std::string& line) {
  const size_t begin = std::min(line.find_first_not_of(" \t"), line.size());
  const size_t end = std::min(line.find_first_of(" \t", begin), line.size());
  const size_t rest = std::min(line.find_first_not_of(" \t", end), line.size());
  return {.id = line.substr(begin, end - begin), .rest = line.substr(rest, line.find_last_not_of(" \t") + 1 - rest)};
}

// `text` beside wav.scp. Both are sorted by id, so that one pass over each finds what belongs together.
class Aligned {
 public:
  Aligned(const fs::path& path, size_t longest) : lines_(path, longest) { step(); }

  // The rest of the line with this id, or nothing. Ids must come in their order.
  std::string take(const std::string& id) {
    while (more_ && here_.id < id) step();
    return more_ && here_.id == id ? here_.rest : "";
  }

 private:
  void step() {
    const std::string before = here_.id;
    do {
      more_ = lines_.next(line_);
    } while (more_ && is_blank_row(line_.text));
    if (!more_) return;
    require<Exit::data>(!line_.too_long, lines_.place(), ": the line has more than ", kLongestRow, " bytes");
    here_ = split_id(line_.text);
    require<Exit::data>(here_.id > before, lines_.place(), ": the id ", in_quotes(here_.id),
                        " does not come after the one before, ", in_quotes(before), "; sort the file (LC_ALL=C sort)");
  }

  LineReader lines_;
  LineReader::Line line_;
  IdAndRest here_;
  bool more_ = false;
};

class Kaldi : public Manifest {
 public:
  explicit Kaldi(const fs::path& path) : Manifest(path) {
    const fs::path folder = path.parent_path();
    require<Exit::data>(!fs::exists(folder / "segments"), folder / "segments",
                        ": recordings cut by a file of segments are not read; cut them into files first");
    if (fs::exists(folder / "text")) transcripts_.emplace(folder / "text", kLongestRow);
    if (fs::exists(folder / "kana")) kana_.emplace(folder / "kana", kLongestRow);
  }

 private:
  std::optional<Raw> parse(const std::string& line) override {
    if (is_blank_row(line)) return std::nullopt;
    const IdAndRest here = split_id(line);
    require<Exit::data>(!(transcripts_ || kana_) || here.id > before_, place(), ": the id ", in_quotes(here.id),
                        " does not come after the one before, ", in_quotes(before_), "; sort the file (LC_ALL=C sort)");
    before_ = here.id;
    if (here.rest.ends_with('|'))
      refuse(SpeechFault::manifest, "a command in place of a path; none is run: decode to files first");
    return Raw{.path = here.rest,
               .transcript = transcripts_ ? transcripts_->take(here.id) : "",
               .id = here.id,
               .kana = kana_ ? kana_->take(here.id) : ""};
  }

  std::optional<Aligned> transcripts_, kana_;
  std::string before_;
};

}  // namespace

std::unique_ptr<SpeechInput> open_tsv(const fs::path& path) { return std::make_unique<Tsv>(path); }
std::unique_ptr<SpeechInput> open_speech_jsonl(const fs::path& path) { return std::make_unique<JsonLines>(path); }
std::unique_ptr<SpeechInput> open_kaldi(const fs::path& wav_scp) { return std::make_unique<Kaldi>(wav_scp); }

}  // namespace hinoki
