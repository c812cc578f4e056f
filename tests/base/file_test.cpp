#include "core/base/file.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "tests/support/expect_error.h"
#include "tests/support/faulty_disk.h"
#include "tests/support/temporary_folder.h"

namespace hinoki::file_test {
namespace {

TEST(File, ReadsUpToALimit) {
  const TemporaryFolder folder;
  write_file_durably(folder / "f", "hello");
  EXPECT_EQ(read_file(folder / "f", 5), "hello");
  expect_error(Exit::data, {folder / "f", "has 5 bytes, more than the 4"}, [&] { read_file(folder / "f", 4); });
  expect_error(Exit::data, {folder / "none", "No such file"}, [&] { read_file(folder / "none", 4); });
  expect_error(Exit::data, {"is a folder"}, [&] { read_file(folder.path(), 4); });
  EXPECT_GT(read_file("/proc/self/status", 1 << 20).size(), 100u);  // a file that claims to have no bytes
  expect_error(Exit::data, {"/dev/zero", "more than 100000 bytes"}, [] { read_file("/dev/zero", 100'000); });
}

TEST(File, MapsAndKeepsTheOldBytesOfAReplacedFile) {
  const TemporaryFolder folder;
  write_file_durably(folder / "f", "old");
  write_file_durably(folder / "empty", "");
  const MappedFile mapped(folder / "f");
  FileWriter::create(folder / "f").write("newer");
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size()), "old");
  EXPECT_EQ(read_file(folder / "f", 10), "newer");
  EXPECT_TRUE(MappedFile(folder / "empty").bytes().empty());
  expect_error(Exit::data, {"none"}, [&] { MappedFile none(folder / "none"); });
}

TEST(File, BlocksCoverTheFile) {
  const TemporaryFolder folder;
  for (const size_t size : {0, 1, 7, 8, 9, 16}) {
    write_file_durably(folder / "f", std::string(size, 'x'));
    std::vector<std::pair<int64_t, size_t>> blocks;
    read_blocks(folder / "f", 8, [&](int64_t offset, auto bytes) { blocks.emplace_back(offset, bytes.size()); });
    size_t total = 0;
    for (size_t i = 0; i < blocks.size(); ++i) {
      EXPECT_EQ(blocks[i].first, static_cast<int64_t>(8 * i));
      EXPECT_TRUE(blocks[i].second == 8 || i + 1 == blocks.size());
      total += blocks[i].second;
    }
    EXPECT_EQ(total, size);
  }
}

TEST(File, ListsSorted) {
  const TemporaryFolder folder;
  for (const char* name : {"b", "a", "sub/z", "sub/deep/x", "c"}) {
    make_directory(parent_of(folder / name));
    write_file_durably(folder / name, "");
  }
  EXPECT_EQ(list_directory(folder.path()), (std::vector<std::string>{"a", "b", "c", "sub"}));
  EXPECT_EQ(list_tree(folder.path()), (std::vector<std::string>{"a", "b", "c", "sub/deep/x", "sub/z"}));
  expect_error(Exit::data, {folder / "none"}, [&] { list_directory(folder / "none"); });
  remove_tree(folder / "sub");
  EXPECT_FALSE(is_directory(folder / "sub"));
}

TEST(File, Parents) {
  EXPECT_EQ(parent_of("a/b"), "a");
  EXPECT_EQ(parent_of("a/b/"), "a");
  EXPECT_EQ(parent_of("a//b"), "a");
  EXPECT_EQ(parent_of("a"), ".");
  EXPECT_EQ(parent_of("/a"), "/");
  EXPECT_EQ(parent_of("/"), "/");
}

TEST(File, RemovingATreeFollowsNoLinks) {
  const TemporaryFolder folder;
  make_directory(folder / "precious");
  write_file_durably(folder / "precious/f", "x");
  make_directory(folder / "tree");
  std::filesystem::create_directory_symlink(folder / "precious", folder / "tree/link");
  remove_tree(folder / "tree");
  EXPECT_FALSE(is_directory(folder / "tree"));
  EXPECT_EQ(read_file(folder / "precious/f", 1), "x");
}

TEST(FileWriter, WritesAnywhereAndGoesOn) {
  const TemporaryFolder folder;
  {
    FileWriter file = FileWriter::create(folder / "f");
    file.write("0123456789");
    file.pwrite(bytes_of("ab"), 4);
    EXPECT_EQ(file.size(), 10);
    file.sync();
    file.close();
  }
  FileWriter::append(folder / "f").write("!");
  FileWriter::open(folder / "f").pwrite(bytes_of("X"), 0);
  EXPECT_EQ(read_file(folder / "f", 100), "X123ab6789!");
  expect_error(Exit::failure, {"cannot create", folder / "none/f", "No such file"},
               [&] { FileWriter::create(folder / "none/f"); });
  expect_error(Exit::failure, {"cannot open for writing", "No such file"}, [&] { FileWriter::open(folder / "none"); });
}

TEST(FileWriter, InterruptedAndShortWritesGoOn) {
  const TemporaryFolder folder;
  FileWriter file = FileWriter::create(folder / "f");
  {
    const FaultyDisk interrupted({.at = 0, .error = EINTR});
    file.write("whole");
  }
  static bool once;
  once = true;
  FileSystem table = kRealFileSystem;
  table.pwrite = [](int f, const void* data, size_t bytes, off_t offset) {
    return kRealFileSystem.pwrite(f, data, std::exchange(once, false) ? 2 : bytes, offset);
  };
  const UseFileSystem short_writes(table);
  file.write(" and more");
  EXPECT_EQ(read_file(folder / "f", 100), "whole and more");
}

TEST(FileWriter, FailuresNameThePathAndTheReason) {
  const TemporaryFolder folder;
  FileWriter file = FileWriter::create(folder / "f");
  file.write("kept");
  {
    const FaultyDisk full({.at = 0, .error = ENOSPC, .half = true});
    expect_error(Exit::failure,
                 {"cannot write 4 bytes at offset 4 of", folder / "f", "No space left", "bytes free there"},
                 [&] { file.write("lost"); });
  }
  EXPECT_EQ(read_file(folder / "f", 100), "kept");  // the half that was written is gone again
  {
    const FaultyDisk broken({.at = 0, .error = EIO});
    expect_error(Exit::failure, {"cannot flush", folder / "f", "the disk or the file server"}, [&] { file.sync(); });
  }
  {
    const FaultyDisk broken({.at = 0, .error = EDQUOT});
    expect_error(Exit::failure, {"cannot close", folder / "f"}, [&] { file.close(); });
  }
  expect_error(Exit::failure, {"/dev/full", "No space left on device"},  // the kernel's own full disk
               [] { FileWriter::open("/dev/full").write("x"); });
}

TEST(WriteFileDurably, EveryFailureLeavesTheOldFileAndNoRubbish) {
  const TemporaryFolder folder;
  const auto write = [&](FaultPlan plan) {
    write_file_durably(folder / "f", "old");
    const FaultyDisk disk(plan);
    try {
      write_file_durably(folder / "f", "new");
      EXPECT_EQ(plan.at, -1);
    } catch (const Error& error) {
      EXPECT_EQ(error.code, Exit::failure);
    }
    return FaultyDisk::calls();
  };
  const int64_t calls = write({});
  EXPECT_EQ(calls, 9);  // unlink, open, pwrite, fsync, close, rename; the folder: open, fsync, close
  for (int64_t at = 0; at + 1 < calls; ++at) {  // closing the folder cannot fail in any way that matters
    write({.at = at, .error = ENOSPC, .half = true});
    EXPECT_EQ(read_file(folder / "f", 10), at < 6 ? "old" : "new") << "call " << at;
    EXPECT_EQ(list_directory(folder.path()), std::vector<std::string>{"f"}) << "call " << at;
    write({.at = at, .error = EIO, .for_ever = true});
    EXPECT_EQ(read_file(folder / "f", 10), at < 6 ? "old" : "new") << "call " << at;
    std::filesystem::remove(folder / ("f.tmp-" + std::to_string(::getpid())));
  }
}

// Writes until the limit stops it; 0 if the error was right and the old file is whole.
int fill_up(const std::string& folder, const std::string& reason) {
  try {
    write_file_durably(folder + "/f", "old");
    const std::string chunk(2 << 20, 'x');
    try {
      write_file_durably(folder + "/f", chunk);
    } catch (const Error& error) {
      const std::string said = error.what();
      const bool right = error.code == Exit::failure && said.find(reason) != said.npos &&
                         said.find(" of " + folder + "/f.tmp-") != said.npos;
      if (!right) return std::fprintf(stderr, "%s\n", said.c_str()), 3;
      return read_file(folder + "/f", 10) == "old" && list_directory(folder).size() == 1 ? 0 : 4;
    }
    return 2;
  } catch (const Error& error) {
    return std::fprintf(stderr, "%s\n", error.what()), 5;
  }
}

template <class Action>
int in_child(Action action) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(action());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(WriteFileDurably, TheKernelsLimitsAreErrors) {
  const TemporaryFolder folder;
  EXPECT_EQ(in_child([&] {
              const rlimit limit = {1 << 20, 1 << 20};
              ::signal(SIGXFSZ, SIG_IGN);
              ::setrlimit(RLIMIT_FSIZE, &limit);
              return fill_up(folder.path(), "File too large");
            }),
            0);
  // A disk of one megabyte, in a mount namespace of the child's own. Ordinary users may need a user namespace for it,
  // and where even that is forbidden, the full device above must do.
  const int result = in_child([&] {
    if (::unshare(CLONE_NEWNS) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return 77;
    if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 77;
    if (::mount("tmpfs", folder.path().c_str(), "tmpfs", 0, "size=1m") != 0) return 77;
    return fill_up(folder.path(), "No space left on device");
  });
  EXPECT_TRUE(result == 0 || result == 77) << result;
}

}  // namespace
}  // namespace hinoki::file_test
