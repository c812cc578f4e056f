#include "train/file_description.h"

#include <algorithm>

#include "core/base/file.h"

namespace hinoki {

FileDescription::FileDescription(std::string name, std::vector<TensorPlace> tensors)
    : name_(std::move(name)), tensors_(std::move(tensors)) {
  std::sort(tensors_.begin(), tensors_.end(), [](const TensorPlace& a, const TensorPlace& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
}

void FileDescription::add(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto left = static_cast<size_t>(kManifestBlock - at_ % kManifestBlock);
    const auto now = bytes.first(std::min(bytes.size(), left));
    block_.add(now);
    add_to_tensors(now);
    at_ += static_cast<int64_t>(now.size());
    bytes = bytes.subspan(now.size());
    if (at_ % kManifestBlock == 0) blocks_.push_back(block_.hex()), block_.reset();
  }
}

void FileDescription::add_to_tensors(std::span<const std::byte> bytes) {
  const int64_t end = at_ + static_cast<int64_t>(bytes.size());
  while (tensor_hashes_.size() < tensors_.size()) {
    const TensorPlace& place = tensors_[tensor_hashes_.size()];
    const int64_t from = std::max(place.begin, at_), to = std::min(place.end, end);
    if (from < to) tensor_.add(bytes.subspan(static_cast<size_t>(from - at_), static_cast<size_t>(to - from)));
    if (place.end > end) return;  // goes on in the next bytes
    tensor_hashes_.push_back(tensor_.hex()), tensor_.reset();
  }
}

Json FileDescription::finish() {
  if (at_ % kManifestBlock != 0) blocks_.push_back(block_.hex());
  // Tensors that are empty, or that the end of the file has cut.
  while (tensor_hashes_.size() < tensors_.size()) tensor_hashes_.push_back(tensor_.hex()), tensor_.reset();
  Json file = {{"name", name_}, {"bytes", at_}, {"blocks", blocks_}};
  for (size_t i = 0; i < tensors_.size(); ++i)
    file["tensors"].push_back({{"name", tensors_[i].tensor},
                               {"begin", tensors_[i].begin},
                               {"end", tensors_[i].end},
                               {"hash", tensor_hashes_[i]}});
  return file;
}

std::vector<TensorPlace> places_in(const SafetensorsLayout& layout, size_t file) {
  std::vector<TensorPlace> places;
  for (const auto& [name, place] : layout.places())
    if (place.file == file) places.push_back({name, place.offset, place.offset + place.bytes});
  return places;
}

Json describe_file(const std::string& path, const std::string& name, std::vector<TensorPlace> tensors) {
  FileDescription description(name, std::move(tensors));
  read_blocks(path, kManifestBlock, [&](int64_t, std::span<const std::byte> bytes) { description.add(bytes); });
  return description.finish();
}

}  // namespace hinoki
