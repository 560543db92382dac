#include "nagl/core/atomic_file.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "nagl/core/error.h"
#include "support.h"

namespace nagl {
namespace {

using testing::message_of;
using testing::slurp;
using testing::TemporaryFolder;

std::size_t files_in(const std::filesystem::path& folder) {
  using Iterator = std::filesystem::directory_iterator;
  return static_cast<std::size_t>(std::distance(Iterator(folder), Iterator()));
}

TEST(AtomicFile, AppearsOnlyWhenCommitted) {
  const TemporaryFolder folder;
  const auto path = folder / "deep/er/file";
  {
    AtomicFile file(path);
    file.write("half");
    EXPECT_FALSE(std::filesystem::exists(path));
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "deep"));  // which was made for it
  AtomicFile file(path);
  file.write("wh");
  file.write("ole");
  file.commit();
  EXPECT_EQ(slurp(path), "whole");
  EXPECT_EQ(files_in(path.parent_path()), 1U);
}

TEST(AtomicFile, KeepsPermissionsAndLinks) {
  namespace fs = std::filesystem;
  const TemporaryFolder folder;
  write_file(folder / "real/bank", "old");
  fs::permissions(folder / "real/bank", fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink("real/bank", folder / "link");
  fs::create_symlink("real/new", folder / "dangling");
  write_file(folder / "link", "new");
  write_file(folder / "dangling", "made");
  EXPECT_TRUE(fs::is_symlink(folder / "link"));
  EXPECT_EQ(slurp(folder / "real/bank"), "new");
  EXPECT_EQ(slurp(folder / "real/new"), "made");
  EXPECT_EQ(fs::status(folder / "real/bank").permissions(),
            fs::perms::owner_read | fs::perms::owner_write);
}

TEST(AtomicFile, TemporaryFilesOfOthersAreNotWrittenTo) {
  namespace fs = std::filesystem;
  const TemporaryFolder folder;
  AtomicFile one(folder / "file"), other(folder / "file");
  one.write("one");
  other.write("other");
  EXPECT_EQ(files_in(folder.path()), 2U);  // of one process, or of two with the same number
  one.commit();
  EXPECT_EQ(slurp(folder / "file"), "one");
  other.commit();
  EXPECT_EQ(slurp(folder / "file"), "other");
}

TEST(AtomicFile, WhatAKilledProcessLeftIsRemoved) {
  namespace fs = std::filesystem;
  const TemporaryFolder folder;
  const auto long_ago = fs::file_time_type::clock::now() - std::chrono::hours(2);
  for (const char* name : {".nagl-0a.tmp", ".nagl-fresh.tmp", ".other.tmp"}) {
    testing::spill(folder / name, "left");
    if (std::string(name) != ".nagl-fresh.tmp") fs::last_write_time(folder / name, long_ago);
  }
  write_file(folder / "file", "x");
  EXPECT_FALSE(fs::exists(folder / ".nagl-0a.tmp"));
  EXPECT_TRUE(fs::exists(folder / ".nagl-fresh.tmp"));  // may be in use
  EXPECT_TRUE(fs::exists(folder / ".other.tmp"));
}

TEST(AtomicFile, KeepsTheOldFileWhenTheDiskIsFull) {
  const TemporaryFolder folder;
  const auto path = folder / "file";
  write_file(path, "old");
  signal(SIGXFSZ, SIG_IGN);
  struct rlimit before {};
  getrlimit(RLIMIT_FSIZE, &before);
  const struct rlimit small { 1000, before.rlim_max };
  setrlimit(RLIMIT_FSIZE, &small);
  const auto message = message_of<DataError>([&] { write_file(path, std::string(5000, 'x')); });
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_NE(message.find(path.string()), std::string::npos) << message;
  EXPECT_EQ(slurp(path), "old");
  EXPECT_EQ(files_in(folder.path()), 1U);
}

TEST(AtomicFile, NamesWhatCannotBeWrittenOrRead) {
  const TemporaryFolder folder;
  write_file(folder / "file", "x");
  EXPECT_NE(message_of<DataError>([&] { write_file(folder / "file/below", "y"); }).find("file"),
            std::string::npos);
  EXPECT_NE(message_of<DataError>([&] { read_file(folder / "absent", 10); }).find("absent"),
            std::string::npos);
  EXPECT_NE(message_of<DataError>([&] { read_file(folder.path(), 10); }).find("regular"),
            std::string::npos);
  write_file(folder / "large", std::string(11, 'x'));
  EXPECT_NE(message_of<DataError>([&] { read_file(folder / "large", 10); }).find("11 bytes"),
            std::string::npos);
  EXPECT_EQ(read_file(folder / "large", 11), std::string(11, 'x'));
}

}  // namespace
}  // namespace nagl
