#include "data/text_prepare.h"

#include <algorithm>
#include <chrono>

#include "core/base/check.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "data/duplicates.h"
#include "data/ordered_work.h"
#include "data/prepare_report.h"
#include "data/text_encoder.h"
#include "data/token_shards_writer.h"

namespace hinoki {
namespace {

namespace fs = std::filesystem;

constexpr const char* kChanged = "the inputs changed while they were read; run `hinoki data text` again";

// A line on the log every few seconds.
class PassProgress {
 public:
  explicit PassProgress(const char* what) : what_(what) {}
  void show(int64_t bytes) {
    const auto now = std::chrono::steady_clock::now();
    if (now - said_ < std::chrono::seconds(5)) return;
    said_ = now;
    const double seconds = std::chrono::duration<double>(now - begun_).count();
    inform(what_, ": ", bytes / 1000000, " MB, ", double(int64_t(double(bytes) / seconds / 1e5)) / 10, " MB/s");
  }

 private:
  const char* what_;
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now(), said_ = begun_;
};

struct Work {
  TextBlock block;
  std::vector<uint64_t> duplicates;  // ordinals of this block's pieces
};

constexpr int64_t kBundle = 256 << 10;  // bytes of small blocks that go to a thread together
// Bytes after which no more are read before some are written: two bundles a thread, within these.
constexpr int64_t kInMemory = 8 << 20, kMostInMemory = 16 << 20;

// Reads all inputs once: cleans in parallel, gives the pieces in order.
struct InputPass {
  TextSource source;
  PieceCounts counts;

  template <class Next, class Make, class Take>
  void run(const char* what, int threads, Next&& more, Make&& make, Take&& take) {
    PassProgress progress(what);
    OrderedWork<std::vector<Work>, std::vector<TextPieces>> work;
    work.next = [&]() -> std::optional<std::vector<Work>> {
      std::vector<Work> bundle;
      for (const int64_t begin = source.bytes(); source.bytes() - begin < kBundle;) {
        auto block = source.next();
        if (!block) break;
        bundle.push_back({std::move(*block), {}});
        more(bundle.back());
      }
      progress.show(source.bytes());
      return bundle.empty() ? std::nullopt : std::optional(std::move(bundle));
    };
    work.size = [](const std::vector<Work>& bundle) {
      int64_t bytes = 0;
      for (const Work& w : bundle) bytes += int64_t(w.block.bytes.size());
      return bytes;
    };
    work.most = std::clamp(threads * 2 * kBundle, kInMemory, kMostInMemory);
    work.work = [&](std::vector<Work>&& bundle) {
      std::vector<TextPieces> made;
      for (Work& w : bundle) made.push_back(make(std::move(w)));
      return made;
    };
    work.take = [&](std::vector<TextPieces>&& bundle) {
      for (TextPieces& pieces : bundle) {
        counts.add(pieces.counts);
        take(pieces);
      }
    };
    work.run(threads);
  }
};

// Tells `duplicates` of every line, by the hash of its whole text: a part of a line that was cut is none.
class LineHashes {
 public:
  explicit LineHashes(Duplicates& duplicates) : duplicates_(duplicates) {}

  void add(const TextPieces& block) {
    for (size_t i = 0; i < block.pieces.size(); ++i) {
      const TextPiece& p = block.pieces[i];
      if (!p.continues) finish();
      if (p.kind != TextPiece::text) continue;
      if (!p.continues && !p.cut) {
        duplicates_.add(p.hash, block.ordinal(i));
        continue;
      }
      if (!first_) first_ = block.ordinal(i);
      const std::string_view text = block.text_of(p);
      hash_.add(text.data(), text.size());
    }
  }
  void finish() {
    if (!first_) return;
    duplicates_.add(hash_.value(), *first_);
    first_.reset();
    hash_.reset();
  }

 private:
  Duplicates& duplicates_;
  Hasher128 hash_;
  std::optional<uint64_t> first_;  // text of the line that was cut and has not ended
};

// The ordinals in `duplicates` are of the first pieces of lines, or of whole documents.
void mark(TextPieces& pieces, const std::vector<uint64_t>& duplicates) {
  for (const uint64_t ordinal : duplicates) {
    const uint64_t piece = ordinal & 0xFFFFFFFF;
    require<Exit::data>(piece < pieces.pieces.size(), kChanged);
    pieces.pieces[piece].duplicate = true;
  }
}

void tokenize(TextPieces& pieces, TextEncoder& encoder, Deduplicate deduplicate) {
  bool dropped = false;
  for (TextPiece& p : pieces.pieces) {
    if (p.kind == TextPiece::border) dropped = false;
    dropped = p.duplicate || (dropped && (p.continues || deduplicate == Deduplicate::document));
    p.first_token = p.last_token = pieces.tokens.size();
    if (p.kind != TextPiece::text || dropped) continue;
    const std::vector<int32_t> ids = encoder.encode(pieces.text_of(p));
    pieces.tokens.insert(pieces.tokens.end(), ids.begin(), ids.end());
    p.last_token = pieces.tokens.size();
  }
}

SplitReport report_of(const TokenShardsWriter& w, int64_t documents) {
  return {.shards = w.shards(),
          .documents = documents,
          .tokens = w.tokens(),
          .bytes = w.bytes(),
          .characters = w.characters()};
}

class TextPreparing {
 public:
  TextPreparing(const Tokenizer& tokenizer, const TextPreparation& settings, std::vector<TextFile> files)
      : tokenizer_(tokenizer), settings_(settings), files_(std::move(files)) {}

  TextReport run() {
    if (settings_.deduplicate != Deduplicate::none) find_duplicates();
    write();
    duplicates_.reset();
    require<Exit::data>(report_.train.tokens > 0, "no text for training was left of ", report_.files, " files (",
                        report_.input_bytes, " bytes): ", report_.pieces.lines, " lines, of them ",
                        report_.pieces.short_dropped, " too short and ", report_.documents.duplicate_lines,
                        " duplicates");
    if (settings_.validation_fraction > 0 && report_.validation.tokens == 0)
      warn("none of the ", report_.documents.documents, " documents fell to validation; raise --validation-fraction, ",
           "or let --documents make smaller ones");
    return report_;
  }

 private:
  void find_duplicates() {
    duplicates_.emplace(settings_.output / ".duplicates");
    DocumentAssembler documents(
        {.append = {}, .end = {}, .seen = [&](const Hash128& h, uint64_t ordinal) { duplicates_->add(h, ordinal); }},
        Deduplicate::none, 0);
    LineHashes lines(*duplicates_);
    InputPass pass{TextSource(files_), {}};
    pass.run(
        "looking for duplicates", settings_.threads, [](Work&) {},
        [&](Work&& w) { return make_pieces(w.block, settings_.pieces); },
        [&](TextPieces& block) {
          settings_.deduplicate == Deduplicate::document ? documents.add(block) : lines.add(block);
        });
    documents.finish();
    lines.finish();
    seen_bytes_ = pass.source.bytes();
  }

  void write() {
    const auto info = [&](const char* split) {
      return TokenShardInfo{.split = split, .tokenizer_hash = tokenizer_.hash(), .vocabulary_size = tokenizer_.size()};
    };
    TokenShardsWriter train(settings_.output, info("train"), settings_.shard_tokens);
    TokenShardsWriter validation(settings_.output, info("validation"), settings_.shard_tokens);
    const auto split = [&](bool to_validation) -> TokenShardsWriter& { return to_validation ? validation : train; };
    const DocumentOutput output{.append =
                                    [&](bool to_validation, const DocumentPart& part) {
                                      TokenShardsWriter& writer = split(to_validation);
                                      for (int i = 0; i < part.newlines; ++i)
                                        writer.append(tokenizer_.newline_ids(), 1, 1);
                                      writer.append(part.tokens, part.bytes, part.characters);
                                    },
                                .end = [&](bool to_validation) { split(to_validation).end_document(tokenizer_.eos()); },
                                .seen = {}};
    DocumentAssembler documents(output, settings_.deduplicate, settings_.validation_fraction);
    TextEncoder encoder(tokenizer_, settings_.threads);
    InputPass pass{TextSource(files_), {}};
    pass.run(
        "tokenizing", settings_.threads,
        [&](Work& w) {
          if (duplicates_) w.duplicates = duplicates_->take_below(uint64_t(w.block.number + 1) << 32);
        },
        [&](Work&& w) {
          TextPieces pieces = make_pieces(w.block, settings_.pieces);
          mark(pieces, w.duplicates);
          tokenize(pieces, encoder, settings_.deduplicate);
          return pieces;
        },
        [&](TextPieces& block) { documents.add(block); });
    documents.finish();
    require<Exit::data>(!duplicates_ || pass.source.bytes() == seen_bytes_, kChanged);
    train.finish();
    validation.finish();
    report_.files = int64_t(files_.size());
    report_.empty_files = pass.source.empty_files();
    report_.input_bytes = pass.source.bytes();
    report_.pieces = pass.counts;
    report_.documents = documents.counts();
    report_.validation = report_of(validation, report_.documents.validation_documents);
    report_.train = report_of(train, report_.documents.documents - report_.documents.validation_documents);
  }

  const Tokenizer& tokenizer_;
  const TextPreparation& settings_;
  std::vector<TextFile> files_;
  std::optional<Duplicates> duplicates_;
  int64_t seen_bytes_ = 0;
  TextReport report_;
};

}  // namespace

TextReport prepare_text(const Tokenizer& tokenizer, const TextPreparation& settings) {
  require<Exit::usage>(settings.validation_fraction >= 0 && settings.validation_fraction < 1,
                       "the validation fraction is ", settings.validation_fraction, "; it must be in [0, 1)");
  require<Exit::usage>(settings.threads > 0, "tokenizing needs at least one thread");
  require<Exit::data>(tokenizer.eos() >= 0, "the tokenizer has no end-of-text piece (</s>) to put after documents");
  std::vector<TextFile> files = list_text_files(settings.inputs);
  const std::string described = settings_json(settings, tokenizer.hash(), files);
  if (!settings.overwrite)
    if (const auto before = finished_report(settings.output, described)) return *before;
  begin_output(settings.output, "hinoki data text");
  const TextReport report = TextPreparing(tokenizer, settings, std::move(files)).run();
  write_file_durably((settings.output / "spiece.model").string(), tokenizer.bytes());
  write_file_durably((settings.output / kPrepareReport).string(), report_json(described, report));
  fs::remove(settings.output / kUnfinished);
  return report;
}

void for_each_line(const TextPreparation& settings, const std::function<void(std::string_view)>& line) {
  InputPass pass{TextSource(list_text_files(settings.inputs)), {}};
  pass.run(
      "reading", settings.threads, [](Work&) {}, [&](Work&& w) { return make_pieces(w.block, settings.pieces); },
      [&](TextPieces& block) {
        for (const TextPiece& p : block.pieces)
          if (p.kind == TextPiece::text) line(block.text_of(p));
      });
}

}  // namespace hinoki
