#include "data/byte_stream.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "core/base/check.h"
#include "core/base/handle.h"

namespace hinoki {
namespace {

void close_stream(int file) { ::close(file); }
using File = Handle<int, close_stream, -1>;

File open_file(const std::filesystem::path& path) {
  File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  require<Exit::data>(bool(file), "cannot read ", path, ": ", std::strerror(errno),
                      errno == EACCES ? "; give yourself permission (chmod u+r) or leave it out of --input" : "");
  return file;
}

size_t read_fully(int file, std::span<char> out, const std::filesystem::path& path) {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t n = ::read(file, out.data() + done, out.size() - done);
    if (n < 0 && errno == EINTR) continue;
    require<Exit::data>(n >= 0, "cannot read ", path, ": ", std::strerror(errno));
    if (n == 0) break;
    done += size_t(n);
  }
  return done;
}

class Plain : public ByteStream {
 public:
  explicit Plain(const std::filesystem::path& path) : path_(path), file_(open_file(path)) {}
  size_t read(std::span<char> out) override { return read_fully(file_.get(), out, path_); }

 private:
  std::filesystem::path path_;
  File file_;
};

class Gzip : public ByteStream {
 public:
  explicit Gzip(const std::filesystem::path& path) : path_(path) {
    open_file(path);  // for its message
    file_ = Handle<gzFile, gzclose_r>(gzopen(path.c_str(), "rb"));
    require<Exit::data>(bool(file_), "cannot read ", path);
    gzbuffer(file_.get(), 1 << 18);
  }

  size_t read(std::span<char> out) override {
    size_t done = 0;
    while (done < out.size()) {
      const int n = gzread(file_.get(), out.data() + done, unsigned(std::min<size_t>(out.size() - done, 1 << 30)));
      int code = Z_OK;
      const char* why = gzerror(file_.get(), &code);
      require<Exit::data>(n >= 0 && (code == Z_OK || code == Z_STREAM_END), path_, " is damaged or cut short: ", why);
      // zlib hands out what is not compressed as it is.
      require<Exit::data>(gzdirect(file_.get()) == 0 || (n == 0 && done == 0 && total_ == 0), path_,
                          " is named .gz but is not gzip; rename it");
      if (n == 0) break;
      done += size_t(n);
      total_ += n;
    }
    return done;
  }

 private:
  std::filesystem::path path_;
  Handle<gzFile, gzclose_r> file_;
  int64_t total_ = 0;
};

class Zstandard : public ByteStream {
 public:
  explicit Zstandard(const std::filesystem::path& path)
      : path_(path), file_(open_file(path)), stream_(ZSTD_createDStream()), input_(ZSTD_DStreamInSize()) {}

  size_t read(std::span<char> out) override {
    ZSTD_outBuffer to{out.data(), out.size(), 0};
    while (to.pos < to.size) {
      if (from_.pos == from_.size) {
        from_ = {input_.data(), read_fully(file_.get(), input_, path_), 0};
        if (from_.size == 0) {
          require<Exit::data>(between_frames_, path_, " is cut short: its last zstd frame has no end");
          break;
        }
      }
      const size_t left = ZSTD_decompressStream(stream_.get(), &to, &from_);
      require<Exit::data>(!ZSTD_isError(left), path_, " is damaged or not zstd: ", ZSTD_getErrorName(left));
      between_frames_ = left == 0;
    }
    return to.pos;
  }

 private:
  std::filesystem::path path_;
  File file_;
  Handle<ZSTD_DStream*, ZSTD_freeDStream> stream_;
  std::vector<char> input_;
  ZSTD_inBuffer from_{nullptr, 0, 0};
  bool between_frames_ = true;
};

}  // namespace

std::unique_ptr<ByteStream> open_bytes(const std::filesystem::path& path) {
  if (path.extension() == ".gz") return std::make_unique<Gzip>(path);
  if (path.extension() == ".zst") return std::make_unique<Zstandard>(path);
  return std::make_unique<Plain>(path);
}

}  // namespace hinoki
