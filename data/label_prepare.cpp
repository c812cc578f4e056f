#include "data/label_prepare.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>

#include "core/base/check.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/parallel.h"
#include "data/audio_file.h"
#include "data/prepare_report.h"
#include "data/token_shard.h"
#include "kernels/nearest.h"

namespace hinoki {
namespace {

namespace fs = std::filesystem;

constexpr std::array kSplits = {"train", "validation"};

void require_fit(const FrameFeatures& features, const Codebook& codebook, const fs::path& path) {
  const auto describe = [](const std::string& kind, int64_t dim, int64_t rate) {
    return say(kind, ", ", dim, " numbers at ", rate, " frames a second");
  };
  require<Exit::data>(
      features.kind() == codebook.features && features.rate() == codebook.rate && features.dim() == codebook.dim, path,
      ": the codebook is of ", describe(codebook.features, codebook.dim, codebook.rate), ", and not of ",
      describe(features.kind(), features.dim(), features.rate()), "; give the --features it was made of");
}

// The labels of one split of a corpus.
class SplitLabels {
 public:
  SplitLabels(const LabelPreparation& settings, const Codebook& codebook, const LabelOrigin& origin,
              const std::string& split)
      : settings_(settings),
        codebook_(codebook),
        origin_(origin),
        split_(split),
        corpus_(settings.corpus, split),
        features_(settings.features(corpus_)) {
    require_fit(*features_, codebook, settings.codebook);
  }

  const SpeechCorpus& corpus() const { return corpus_; }

  // How many shards are there already.
  int64_t count_finished() const {
    int64_t count = 0;
    for (int64_t n = 0; n < corpus_.shards(); ++n) count += finished(n).has_value();
    return count;
  }
  // Makes this rank's shards that are not there.
  void make(const LabelTeam& team) {
    for (int64_t n = team.rank; n < corpus_.shards(); n += team.ranks)
      if (!finished(n)) make(n);
  }
  // When all shards are there: removes others and tells what they hold.
  LabelSplitReport finish(int64_t reused) const {
    LabelSplitReport report{
        .shards = corpus_.shards(), .reused = reused, .utterances = corpus_.utterances(), .counts = {}};
    report.counts.resize(size_t(codebook_.clusters));
    for (int64_t n = 0; n < corpus_.shards(); ++n) {
      const std::optional<LabelIndex> index = finished(n);
      require<Exit::data>(index.has_value(), path(n), " is gone or damaged; run `hinoki data labels` again");
      report.labels += index->ends.back();
      for (size_t c = 0; c < report.counts.size(); ++c) report.counts[c] += index->counts[c];
    }
    for (int64_t n = corpus_.shards(); fs::remove(path(n));) ++n;
    return report;
  }

 private:
  struct Labelled {
    std::vector<int32_t> labels;
    int64_t silence = 0;
  };

  fs::path path(int64_t n) const { return shard_path(settings_.output, split_, n); }
  LabelShardInfo info(int64_t n) const {
    const SpeechCorpus::Range range = corpus_.shard(n);
    return {.origin = origin_,
            .split = split_,
            .corpus = corpus_.hash(),
            .first = range.begin,
            .utterances = range.end - range.begin};
  }

  // The index of a shard that is there, if it is the one wanted.
  std::optional<LabelIndex> finished(int64_t n) const {
    if (!fs::exists(path(n))) return std::nullopt;
    try {
      LabelShard shard = open_label_shard(path(n));
      if (shard.info == info(n)) return std::move(shard.index);
    } catch (const Error& e) {
      warn(e.what(), " (it is made again)");
    }
    return std::nullopt;
  }

  void make(int64_t n) {
    const LabelShardInfo info = this->info(n);
    LabelIndex index;
    index.counts.resize(size_t(codebook_.clusters));
    std::vector<int32_t> all;
    // Utterances side by side: the loops inside an utterance then run on its thread alone.
    const int64_t at_once = 4 * int64_t(pool().threads()), end = info.first + info.utterances;
    std::vector<Labelled> made(static_cast<size_t>(at_once));
    std::vector<std::exception_ptr> errors(static_cast<size_t>(at_once));
    for (int64_t u = info.first; u < end; u += at_once) {
      const int64_t count = std::min(at_once, end - u);
      parallel(count, [&](int64_t i) {
        errors[size_t(i)] = nullptr;
        try {
          made[size_t(i)] = label(u + i);
        } catch (...) {
          errors[size_t(i)] = std::current_exception();
        }
      });
      for (int64_t i = 0; i < count; ++i) {
        if (errors[size_t(i)]) std::rethrow_exception(errors[size_t(i)]);
        add(made[size_t(i)], all, index);
        samples_done_ += corpus_.samples(u + i);
      }
      show_progress();
      if (settings_.check_stop) settings_.check_stop();
    }
    write_label_shard(path(n), info, index, all);
  }

  Labelled label(int64_t u) const {
    std::vector<int16_t> samples(size_t(corpus_.samples(u)));
    corpus_.read(u, std::span(samples));
    Labelled made{.labels = {}, .silence = longest_silence(samples, settings_.silence_dbfs)};
    const int64_t frames = features_->frames(u);
    if (frames == 0) return made;
    std::vector<float> x(size_t(frames * codebook_.dim));
    features_->features(u, x);
    const bool finite = std::all_of(x.begin(), x.end(), [](float v) { return std::isfinite(v); });
    require<Exit::data>(finite, corpus_.folder(), ": the features of utterance ", u, " (", corpus_.id(u),
                        ") are not all finite");
    made.labels.resize(size_t(frames));
    kernels::nearest.run(Device::cpu, {},
                         {.x = x.data(),
                          .centres = codebook_.centres.data(),
                          .labels = made.labels.data(),
                          .rows = frames,
                          .count = codebook_.clusters,
                          .size = codebook_.dim});
    return made;
  }

  static void add(const Labelled& made, std::vector<int32_t>& all, LabelIndex& index) {
    all.insert(all.end(), made.labels.begin(), made.labels.end());
    index.ends.push_back(int64_t(all.size()));
    const auto checksum = label_checksum(made.labels);
    index.checksums.insert(index.checksums.end(), checksum.begin(), checksum.end());
    index.silences.push_back(int32_t(made.silence));
    for (const int32_t label : made.labels) ++index.counts[size_t(label)];
  }

  void show_progress() {
    const auto now = std::chrono::steady_clock::now();
    if (now - said_ < std::chrono::seconds(5)) return;
    said_ = now;
    const double seconds = std::chrono::duration<double>(now - begun_).count();
    const double speech = seconds_of(samples_done_);
    inform("making labels (", split_, "): ", std::round(speech / 36) / 100, " hours, ", int64_t(speech / seconds),
           " times real time");
  }

  const LabelPreparation& settings_;
  const Codebook& codebook_;
  const LabelOrigin& origin_;
  const std::string split_;
  const SpeechCorpus corpus_;
  const std::unique_ptr<FrameFeatures> features_;
  int64_t samples_done_ = 0;
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now(), said_ = begun_;
};

OrderedJson label_split_json(const LabelSplitReport& s) {
  const LabelUsage usage = usage_of(s.counts);
  return {{"shards", s.shards},
          {"utterances", s.utterances},
          {"labels", s.labels},
          {"entropy", usage.entropy},
          {"clusters_used", usage.used},
          {"counts", s.counts}};
}

LabelSplitReport label_split_of(const Json& j) {
  return {.shards = j.at("shards"),
          .reused = j.at("shards"),
          .utterances = j.at("utterances"),
          .labels = j.at("labels"),
          .counts = j.at("counts")};
}

std::string labels_settings_json(const LabelPreparation& s, const LabelOrigin& origin,
                                 const std::vector<std::unique_ptr<SplitLabels>>& splits) {
  OrderedJson j{{"kind", "labels"},
                {"features", origin.features},
                {"rate", origin.rate},
                {"clusters", origin.clusters},
                {"codebook", origin.codebook},
                {"silence_dbfs", s.silence_dbfs},
                {"shard_version", kLabelShardVersion}};
  for (size_t i = 0; i < kSplits.size(); ++i) j[kSplits[i]] = splits[i] ? splits[i]->corpus().hash() : "";
  return j.dump();
}

bool find_finished_labels(const fs::path& folder, const std::string& settings, LabelReport& report) {
  const auto read = [&](const Json& j) {
    report.train = label_split_of(j.at("train"));
    report.validation = label_split_of(j.at("validation"));
  };
  const auto shard = [&](const std::string& split, int64_t n) { return shard_path(folder, split, n); };
  return find_finished(folder, settings, {.read = read, .shard = shard});
}

}  // namespace

LabelReport prepare_labels(const LabelPreparation& settings, const LabelTeam& team) {
  const Codebook codebook = read_codebook(settings.codebook);
  LabelReport report;
  report.origin = {.features = codebook.features,
                   .codebook = codebook.hash(),
                   .rate = codebook.rate,
                   .clusters = codebook.clusters};
  std::vector<std::unique_ptr<SplitLabels>> splits(kSplits.size());
  for (size_t i = 0; i < kSplits.size(); ++i)
    if (i == 0 || fs::exists(speech_shard_path(settings.corpus, kSplits[i], 0)))
      splits[i] = std::make_unique<SplitLabels>(settings, codebook, report.origin, kSplits[i]);
  const std::string described = labels_settings_json(settings, report.origin, splits);
  const bool finished = !settings.overwrite && find_finished_labels(settings.output, described, report);
  team.meet();  // before anything changes that others look at
  if (finished) {
    report.reused = true;
    return report;
  }
  if (team.rank == 0) begin_output(settings.output, "hinoki data labels");
  team.meet();
  std::array<int64_t, kSplits.size()> reused{};
  if (team.rank == 0)
    for (size_t i = 0; i < kSplits.size(); ++i) reused[i] = splits[i] ? splits[i]->count_finished() : 0;
  team.meet();
  for (const auto& split : splits)
    if (split) split->make(team);
  team.meet();
  if (team.rank != 0) return report;
  for (size_t i = 0; i < kSplits.size(); ++i)
    if (splits[i]) (i == 0 ? report.train : report.validation) = splits[i]->finish(reused[i]);
  const OrderedJson j{{"settings", OrderedJson::parse(described)},
                      {"train", label_split_json(report.train)},
                      {"validation", label_split_json(report.validation)}};
  write_file_durably((settings.output / kPrepareReport).string(), j.dump(2) + "\n");
  fs::remove(settings.output / kUnfinished);
  return report;
}

}  // namespace hinoki
