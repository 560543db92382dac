#include "nagl/core/atomic_file.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

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
  EXPECT_EQ(files_in(path.parent_path()), 0U);
  AtomicFile file(path);
  file.write("wh");
  file.write("ole");
  file.commit();
  EXPECT_EQ(slurp(path), "whole");
  EXPECT_EQ(files_in(path.parent_path()), 1U);
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
