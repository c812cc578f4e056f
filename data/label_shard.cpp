#include "data/label_shard.h"

#include "core/base/check.h"
#include "data/codebook.h"
#include "data/publish.h"

namespace hinoki {
namespace {

constexpr int64_t kLabelChunk = 65536, kUtteranceChunk = 1024;
constexpr const char* kLabelsAgain = "delete the file and run `hinoki data labels` again, or copy it anew";

DType label_type(int64_t clusters) {
  return clusters <= 256 ? DType::u8 : clusters <= 65536 ? DType::u16 : DType::u32;
}

template <class T>
void write_column(Hdf5File& file, const char* name, Hdf5Layout layout, const std::vector<T>& values) {
  Hdf5Dataset data = file.create_dataset(name, layout);
  data.append(std::span(values));
}

template <class T>
std::vector<T> read_column(const Hdf5File& file, const char* name, int64_t rows, int64_t width = 1) {
  const Hdf5Dataset data = file.dataset(name);
  require<Exit::data>(data.rows() == rows && data.row_elements() == width && data.type() == dtype_of<T>(), file.path(),
                      ": dataset ", name, " does not fit the attributes; ", kLabelsAgain);
  std::vector<T> values(size_t(rows * width));
  data.read(0, std::span(values));
  return values;
}

template <class T>
void write_labels(Hdf5File& file, const LabelShardInfo& info, std::span<const int32_t> labels) {
  std::vector<T> stored(labels.size());
  for (size_t i = 0; i < labels.size(); ++i) {
    require(labels[i] >= 0 && labels[i] < info.origin.clusters, file.path(), ": label ", labels[i], " is none of ",
            info.origin.clusters, " clusters");
    stored[i] = T(labels[i]);
  }
  write_column(file, "labels", {.type = dtype_of<T>(), .chunk_rows = kLabelChunk}, stored);
}

}  // namespace

std::array<uint8_t, 16> label_checksum(std::span<const int32_t> labels) {
  return bytes_of(hash128(labels.data(), labels.size_bytes()));
}

std::string LabelIndex::checksum() const {
  Hasher128 hasher;
  hasher.add(ends.data(), ends.size() * sizeof(int64_t));
  hasher.add(checksums.data(), checksums.size());
  hasher.add(silences.data(), silences.size() * sizeof(int32_t));
  hasher.add(counts.data(), counts.size() * sizeof(int64_t));
  return hasher.hex();
}

void write_label_shard(const std::filesystem::path& path, const LabelShardInfo& info, const LabelIndex& index,
                       std::span<const int32_t> labels) {
  Hdf5File file = Hdf5File::create(temporary_name(path));
  switch (label_type(info.origin.clusters)) {
    case DType::u8:
      write_labels<uint8_t>(file, info, labels);
      break;
    case DType::u16:
      write_labels<uint16_t>(file, info, labels);
      break;
    default:
      write_labels<uint32_t>(file, info, labels);
  }
  write_column(file, "utterance_ends", {.type = DType::i64, .chunk_rows = kUtteranceChunk}, index.ends);
  write_column(file, "checksums", {.type = DType::u8, .row_shape = {16}, .chunk_rows = kUtteranceChunk},
               index.checksums);
  write_column(file, "silences", {.type = DType::i32, .chunk_rows = kUtteranceChunk}, index.silences);
  write_column(file, "counts", {.type = DType::i64, .chunk_rows = kUtteranceChunk}, index.counts);
  file.set("format", "hinoki labels");
  file.set("version", kLabelShardVersion);
  file.set("split", info.split);
  file.set("features", info.origin.features);
  file.set("rate", info.origin.rate);
  file.set("clusters", info.origin.clusters);
  file.set("codebook", info.origin.codebook);
  file.set("corpus", info.corpus);
  file.set("first", info.first);
  file.set("utterances", info.utterances);
  file.set("index_checksum", index.checksum());
  file.close();
  publish(path);
}

LabelShard open_label_shard(const std::filesystem::path& path) {
  LabelShard s{.info = {}, .index = {}, .file = Hdf5File::open(path), .labels = {}};
  const Hdf5File& file = s.file;
  require<Exit::data>(file.text("format") == "hinoki labels", path, " is not a shard of labels");
  require<Exit::data>(file.integer("version") == kLabelShardVersion, path, " has version ", file.integer("version"),
                      ", this program reads version ", kLabelShardVersion, "; make the labels again");
  s.info = {.origin = {.features = file.text("features"),
                       .codebook = file.text("codebook"),
                       .rate = file.integer("rate"),
                       .clusters = file.integer("clusters")},
            .split = file.text("split"),
            .corpus = file.text("corpus"),
            .first = file.integer("first"),
            .utterances = file.integer("utterances")};
  s.labels = file.dataset("labels");
  const LabelOrigin& o = s.info.origin;
  require<Exit::data>(o.clusters >= 1 && o.clusters <= kMostClusters && o.rate >= 1 && s.info.first >= 0 &&
                          s.info.utterances >= 1 && s.labels.row_shape().empty() &&
                          s.labels.type() == label_type(o.clusters),
                      path, ": the labels do not fit the attributes; ", kLabelsAgain);
  s.index = {.ends = read_column<int64_t>(file, "utterance_ends", s.info.utterances),
             .checksums = read_column<uint8_t>(file, "checksums", s.info.utterances, 16),
             .silences = read_column<int32_t>(file, "silences", s.info.utterances),
             .counts = read_column<int64_t>(file, "counts", o.clusters)};
  require<Exit::data>(s.index.checksum() == file.text("index_checksum"), path,
                      ": the index is damaged (checksum mismatch); ", kLabelsAgain);
  int64_t before = 0;
  for (const int64_t end : s.index.ends) {
    require<Exit::data>(end >= before, path, ": dataset utterance_ends holds no borders; ", kLabelsAgain);
    before = end;
  }
  require<Exit::data>(before == s.labels.rows(), path, ": dataset utterance_ends does not cover the labels; ",
                      kLabelsAgain);
  return s;
}

}  // namespace hinoki
