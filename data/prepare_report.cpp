#include "data/prepare_report.h"

#include "core/base/check.h"
#include "core/base/file.h"
#include "core/base/hash128.h"
#include "data/token_shard.h"

namespace hinoki {
namespace {

OrderedJson text_split_json(const SplitReport& s) {
  return {{"shards", s.shards},
          {"documents", s.documents},
          {"tokens", s.tokens},
          {"bytes", s.bytes},
          {"characters", s.characters}};
}

constexpr int64_t kLargestReport = 1 << 20;

SplitReport text_split_of(const Json& j) {
  return {.shards = j.at("shards"),
          .documents = j.at("documents"),
          .tokens = j.at("tokens"),
          .bytes = j.at("bytes"),
          .characters = j.at("characters")};
}

}  // namespace

bool find_finished(const std::filesystem::path& folder, const std::string& settings, const FinishedCorpus& corpus) {
  const auto path = folder / kPrepareReport;
  if (!std::filesystem::exists(path) || std::filesystem::exists(folder / kUnfinished)) return false;
  try {
    const Json j = parse_json(read_file(path.string(), kLargestReport), path.string());
    const Json before = j.at("settings"), now = Json::parse(settings);
    for (const auto& [key, value] : now.items())
      require<Exit::usage>(before.contains(key) && before[key] == value, folder, " already holds a corpus, made with ",
                           key, " = ", before.value(key, Json()).dump(), " and not ", value.dump(),
                           "; choose another --output or add --overwrite");
    corpus.read(j);
    for (const char* split : {"train", "validation"})
      for (int64_t n = 0, shards = j.at(split).at("shards"); n < shards; ++n)
        if (!std::filesystem::exists(corpus.shard(split, n))) return false;
  } catch (const Json::exception& e) {
    fail<Exit::data>(path, " is damaged: ", e.what(), "; add --overwrite to make the corpus again");
  }
  return true;
}

void begin_output(const std::filesystem::path& folder, const char* verb) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  require<Exit::data>(!error, "cannot make the folder ", folder, ": ", error.message());
  write_file_durably((folder / kUnfinished).string(), say(verb, " has not finished here; run it again\n"));
  std::filesystem::remove(folder / kPrepareReport);
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().string().ends_with(".h5.tmp")) std::filesystem::remove(entry.path());
  remove_temporaries(folder.string());
}

std::string settings_json(const TextPreparation& settings, const std::string& tokenizer_hash,
                          const std::vector<TextFile>& files) {
  Hasher128 names;
  for (const TextFile& f : files) {
    const std::string line = say(f.path.filename().string(), "\t", f.size, "\n");
    names.add(line.data(), line.size());
  }
  const PieceSettings& p = settings.pieces;
  const char* documents[] = {"file", "paragraph", "line"};
  const char* deduplicate[] = {"none", "line", "document"};
  const char* broken[] = {"fail", "replace", "skip"};
  const OrderedJson j{{"tokenizer", tokenizer_hash},
                      {"documents", documents[int(p.documents)]},
                      {"json_key", p.json_key},
                      {"nfkc", p.clean.nfkc},
                      {"broken_text", broken[int(p.clean.broken)]},
                      {"min_characters", p.min_characters},
                      {"deduplicate", deduplicate[int(settings.deduplicate)]},
                      {"validation_fraction", settings.validation_fraction},
                      {"shard_tokens", settings.shard_tokens},
                      {"shard_version", kTokenShardVersion},
                      {"input_files", files.size()},
                      {"input_names_and_sizes", hex_of(names.value())}};
  return j.dump();
}

std::string report_json(const std::string& settings, const TextReport& r) {
  const OrderedJson j{{"settings", OrderedJson::parse(settings)},
                      {"files", r.files},
                      {"empty_files", r.empty_files},
                      {"input_bytes", r.input_bytes},
                      {"json_records", r.pieces.records},
                      {"lines", r.pieces.lines},
                      {"lines_cut", r.pieces.cut},
                      {"short_lines_dropped", r.pieces.short_dropped},
                      {"duplicate_lines_dropped", r.documents.duplicate_lines},
                      {"duplicate_documents_dropped", r.documents.duplicate_documents},
                      {"emptied_documents", r.documents.emptied_documents},
                      {"broken_lines_dropped", r.pieces.broken_dropped},
                      {"broken_bytes_replaced", r.pieces.broken_replaced},
                      {"train", text_split_json(r.train)},
                      {"validation", text_split_json(r.validation)}};
  return j.dump(2) + "\n";
}

std::optional<TextReport> finished_report(const std::filesystem::path& folder, const std::string& settings) {
  TextReport report;
  report.reused = true;
  const auto read = [&](const Json& j) {
    report.train = text_split_of(j.at("train"));
    report.validation = text_split_of(j.at("validation"));
  };
  const auto shard = [&](const std::string& split, int64_t n) { return shard_path(folder, split, n); };
  return find_finished(folder, settings, {.read = read, .shard = shard}) ? std::optional(report) : std::nullopt;
}

}  // namespace hinoki
