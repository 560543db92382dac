#include "nagl/core/file_lock.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nagl/core/error.h"
#include "support.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;
using testing::message_of;
using testing::TemporaryFolder;

/// A process that holds a folder until it is killed.
class Holder {
 public:
  explicit Holder(const fs::path& folder) {
    int ends[2] = {};
    EXPECT_EQ(::pipe(ends), 0);
    process_ = ::fork();
    if (process_ == 0) {
      const FileLock lock = FileLock::on_folder(folder, "training");
      if (::write(ends[1], "x", 1) != 1) ::_exit(1);
      for (;;) ::pause();
    }
    char said = 0;
    ::close(ends[1]);
    EXPECT_EQ(::read(ends[0], &said, 1), 1);
    ::close(ends[0]);
  }
  ~Holder() { kill(); }
  void kill() {
    if (process_ <= 0) return;
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
    process_ = 0;
  }

 private:
  pid_t process_ = 0;
};

TEST(FileLock, MakesItsFolderAndLetsGo) {
  const TemporaryFolder folder;
  for (int i = 0; i < 2; ++i) {
    const FileLock lock = FileLock::on_folder(folder / "a/b", "training");
    EXPECT_TRUE(fs::is_regular_file(folder / "a/b/.lock"));
  }
  EXPECT_FALSE(fs::exists(folder / "a"));  // which it made, and nothing came into it
  {
    const FileLock lock = FileLock::on_folder(folder / "a/b", "training");
    testing::spill(folder / "a/b/model", "x");
  }
  EXPECT_TRUE(fs::exists(folder / "a/b/model"));
  EXPECT_FALSE(fs::exists(folder / "a/b/.lock"));
}

TEST(FileLock, AFileAndALinkToItAreOne) {
  const TemporaryFolder folder;
  testing::spill(folder / "bank", "x");
  fs::create_symlink("bank", folder / "link");
  const FileLock lock = FileLock::on_file(folder / "bank", "changing the bank");
  EXPECT_EQ(
      message_of<ConfigError>([&] { FileLock::on_file(folder / "link", "changing the bank"); }),
      "another process is changing the bank '" + (folder / "link").string() +
          "'; try again when it is done");
  const FileLock other = FileLock::on_file(folder / "other", "changing the bank");
}

TEST(FileLock, IsOneProcesssAtATime) {
  const TemporaryFolder folder;
  Holder other(folder.path());
  EXPECT_EQ(message_of<ConfigError>([&] { FileLock::on_folder(folder.path(), "training"); }),
            "another process is training in '" + folder.path().string() +
                "'; wait for it, or give another folder");
  const FileLock elsewhere = FileLock::on_folder(folder / "other", "training");
  other.kill();  // without a chance to clean up
  const FileLock lock = FileLock::on_folder(folder.path(), "training");
}

TEST(FileLock, IsRefusedTwiceInOneProcessToo) {
  const TemporaryFolder folder;
  const FileLock lock = FileLock::on_folder(folder.path(), "scoring");
  EXPECT_THROW(FileLock::on_folder(folder.path(), "scoring"), ConfigError);
}

TEST(FileLock, NeedsAFolderThatCanBeWritten) {
  const TemporaryFolder folder;
  testing::spill(folder / "file", "");
  EXPECT_THROW(FileLock::on_folder(folder / "file", "training"), DataError);
  fs::create_directories(folder / "taken/.lock");
  EXPECT_EQ(message_of<DataError>([&] { FileLock::on_folder(folder / "taken", "training"); }),
            "cannot write into '" + (folder / "taken").string() + "': Is a directory");
}

}  // namespace
}  // namespace nagl
