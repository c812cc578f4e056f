#include "data/label_corpus.h"

#include <algorithm>
#include <cmath>

#include "core/base/check.h"
#include "data/token_shard.h"

namespace hinoki {
namespace {

std::string described(const LabelOrigin& o) {
  return say(o.clusters, " clusters of ", o.features, " at ", o.rate, " labels a second, codebook ", o.codebook);
}

void require_same(const LabelOrigin& a, const std::string& of_a, const LabelOrigin& b, const std::string& of_b) {
  require<Exit::data>(a == b, "the labels ", of_a, " (", described(a), ") and ", of_b, " (", described(b),
                      ") cannot be mixed; make all of them with one codebook");
}

}  // namespace

LabelCorpus::LabelCorpus(const std::filesystem::path& folder, const SpeechCorpus& corpus, const std::string& split)
    : folder_(folder), corpus_(corpus) {
  require<Exit::data>(std::filesystem::is_directory(folder), "there are no labels ", folder,
                      "; make them with `hinoki data labels`");
  require<Exit::data>(!std::filesystem::exists(folder / kUnfinished), "the labels ", folder,
                      " are not finished; run `hinoki data labels` again");
  int64_t next = 0;
  for (int64_t n = 0; std::filesystem::exists(shard_path(folder, split, n)); ++n) {
    shards_.push_back(open_label_shard(shard_path(folder, split, n)));
    const LabelShardInfo& info = shards_.back().info;
    require<Exit::data>(info.split == split && info.first == next, shards_.back().file.path(),
                        " does not follow the shards before it; run `hinoki data labels` again");
    require_same(origin(), shards_.front().file.path(), info.origin, shards_.back().file.path());
    require<Exit::data>(info.corpus == corpus.hash(), shards_.back().file.path(), ": the labels were made for the ",
                        split, " speech ", info.corpus, ", and not for ", corpus.folder(), ", which is ",
                        corpus.hash(), "; make them again with `hinoki data labels`");
    next += info.utterances;
    total_ += shards_.back().labels.rows();
    counts_.resize(size_t(info.origin.clusters));
    for (size_t c = 0; c < counts_.size(); ++c) counts_[c] += shards_.back().index.counts[c];
  }
  require<Exit::data>(!shards_.empty(), folder, " has no shard ", shard_path(folder, split, 0).filename(),
                      "; is it a folder that `hinoki data labels` finished?");
  require<Exit::data>(next == corpus.utterances(), folder, " has labels for ", next, " utterances, ", corpus.folder(),
                      " holds ", corpus.utterances(), "; a shard is missing: run `hinoki data labels` again");
}

const LabelShard& LabelCorpus::shard_of(int64_t u) const {
  require(u >= 0 && u < corpus_.utterances(), folder_, " holds labels of ", corpus_.utterances(),
          " utterances; asked for number ", u);
  return *(std::upper_bound(shards_.begin(), shards_.end(), u,
                            [](int64_t at, const LabelShard& s) { return at < s.info.first; }) -
           1);
}

int64_t LabelCorpus::labels(int64_t u) const {
  const LabelShard& s = shard_of(u);
  const auto row = size_t(u - s.info.first);
  return s.index.ends[row] - (row == 0 ? 0 : s.index.ends[row - 1]);
}

int64_t LabelCorpus::longest_silence(int64_t u) const {
  const LabelShard& s = shard_of(u);
  return s.index.silences[size_t(u - s.info.first)];
}

void LabelCorpus::read(int64_t u, std::span<int32_t> out) const {
  const LabelShard& s = shard_of(u);
  const auto row = size_t(u - s.info.first);
  require(int64_t(out.size()) == labels(u), folder_, ": utterance ", u, " has ", labels(u), " labels; room for ",
          out.size(), " is given");
  s.labels.read(s.index.ends[row] - int64_t(out.size()), out);
  const auto checksum = label_checksum(out);
  require<Exit::data>(std::equal(checksum.begin(), checksum.end(), s.index.checksums.begin() + int64_t(row) * 16),
                      s.file.path(), ": the labels of utterance ", row,
                      " are damaged (checksum mismatch); delete the file and run `hinoki data labels` again, or copy "
                      "it anew");
}

int64_t LabelCorpus::stride(int64_t rate) const {
  require<Exit::data>(origin().rate % rate == 0, folder_, ": ", origin().rate, " labels a second do not divide among ",
                      rate, " frames a second of the model");
  return origin().rate / rate;
}

void LabelCorpus::check_lengths(int64_t rate, const std::function<int64_t(int64_t)>& frames) const {
  const int64_t each = stride(rate), more = origin().rate / 10;
  for (int64_t u = 0; u < corpus_.utterances(); ++u) {
    const int64_t wanted = frames(corpus_.samples(u)), has = labels(u), least = wanted == 0 ? 0 : (wanted - 1) * each + 1;
    require<Exit::data>(has >= least && has <= wanted * each + more, folder_, ": utterance ", u, " (", corpus_.id(u),
                        ") has ", has, " labels, but ", wanted, " frames take ", least, " to ", wanted * each + more,
                        " at ", origin().rate, " labels a second; the features of these labels do not suit the model");
  }
}

LabelUsage usage_of(std::span<const int64_t> counts) {
  LabelUsage usage;
  int64_t total = 0;
  for (const int64_t n : counts) total += n;
  for (const int64_t n : counts) {
    if (n == 0) continue;
    const double share = double(n) / double(total);
    ++usage.used;
    usage.entropy -= share * std::log(share);
    usage.commonest = std::max(usage.commonest, share);
  }
  return usage;
}

void require_same_codebook(const LabelCorpus& a, const LabelCorpus& b) {
  require_same(a.origin(), a.folder().string(), b.origin(), b.folder().string());
}

}  // namespace hinoki
