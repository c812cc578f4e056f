#include "data/text_source.h"

#include <algorithm>

#include "core/base/check.h"
#include "data/text_split.h"

namespace hinoki {
namespace {

namespace fs = std::filesystem;

TextFile text_file(const fs::path& path) {
  fs::path name = path.filename();
  if (name.extension() == ".gz" || name.extension() == ".zst") name = name.stem();
  std::error_code unknown;
  const uintmax_t size = fs::file_size(path, unknown);
  return {.path = path,
          .json_lines = name.extension() == ".jsonl" || name.extension() == ".ndjson",
          .size = unknown ? 0 : size};
}

void add_folder(const fs::path& folder, std::vector<TextFile>& files) {
  try {
    std::vector<fs::path> entries;
    for (const auto& entry : fs::directory_iterator(folder))
      if (!entry.path().filename().string().starts_with('.')) entries.push_back(entry.path());
    std::sort(entries.begin(), entries.end());
    for (const fs::path& path : entries) {
      if (fs::is_directory(fs::symlink_status(path)))
        add_folder(path, files);
      else if (fs::is_regular_file(path))
        files.push_back(text_file(path));
    }
  } catch (const fs::filesystem_error& e) {
    fail<Exit::data>("cannot list the folder ", folder, ": ", e.code().message(),
                     "; give yourself permission (chmod u+rx) or leave it out of --input");
  }
}

}  // namespace

std::vector<TextFile> list_text_files(std::span<const fs::path> inputs) {
  std::vector<TextFile> files;
  for (const fs::path& input : inputs) {
    std::error_code error;
    const fs::file_status status = fs::status(input, error);
    require<Exit::data>(fs::exists(status), "cannot read the input ", input, ": ",
                        error ? error.message() : "there is no such file or folder");
    if (fs::is_directory(status))
      add_folder(input, files);
    else
      files.push_back(text_file(input));
  }
  require<Exit::data>(!files.empty(), "there are no files to read under ", inputs.empty() ? fs::path() : inputs[0]);
  return files;
}

bool TextSource::open_next() {
  if (next_file_ == files_.size()) return false;
  stream_ = open_bytes(files_[next_file_++].path);
  buffer_.clear();
  ended_ = inside_line_ = false;
  opens_ = true;
  offset_ = 0;
  line_ = 1;
  return true;
}

void TextSource::read_more(size_t wanted) {
  if (ended_ || buffer_.size() >= wanted) return;
  const size_t had = buffer_.size();
  buffer_.resize(wanted);
  buffer_.resize(had + stream_->read(std::span(buffer_).subspan(had)));
  ended_ = buffer_.size() < wanted;
}

// Up to the last newline of a block, else the first one after it, else the place to cut.
size_t TextSource::block_size() {
  read_more(kTextBlock);
  if (ended_ && buffer_.size() <= kTextBlock) return buffer_.size();
  if (const size_t last = buffer_.rfind('\n', kTextBlock - 1); last != buffer_.npos) return last + 1;
  const bool whole = files_[next_file_ - 1].json_lines;
  const size_t limit = whole ? kLongestRecord : kLongestLine;
  for (size_t wanted = 2 * kTextBlock, from = kTextBlock;; from = wanted, wanted = std::min(2 * wanted, limit + 1)) {
    read_more(wanted);
    if (const size_t end = buffer_.find('\n', from); end != buffer_.npos) return end + 1;
    if (ended_ && buffer_.size() <= limit) return buffer_.size();
    if (wanted > limit) break;
  }
  require<Exit::data>(!whole, files_[next_file_ - 1].path, ":", line_, ": a record of more than ", kLongestRecord >> 20,
                      " MiB; write its text as several records");
  return cut_at(std::string_view(buffer_), kLongestLine);
}

std::optional<TextBlock> TextSource::next() {
  while (!stream_ || (ended_ && buffer_.empty())) {
    if (!open_next()) return std::nullopt;
    read_more(kTextBlock);
    empty_files_ += buffer_.empty();
  }
  const size_t size = block_size();
  TextBlock block{.number = number_++,
                  .file = &files_[next_file_ - 1],
                  .offset = offset_,
                  .line = line_,
                  .opens_file = opens_,
                  .continues_line = inside_line_,
                  .bytes = buffer_.substr(0, size)};
  buffer_.erase(0, size);
  opens_ = false;
  inside_line_ = block.cuts_line = !block.bytes.ends_with('\n') && !(ended_ && buffer_.empty());
  offset_ += int64_t(size);
  bytes_ += int64_t(size);
  line_ += std::count(block.bytes.begin(), block.bytes.end(), '\n');
  return block;
}

}  // namespace hinoki
