#include "nagl/core/folder_lock.h"

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
      const FolderLock lock(folder, "training");
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

TEST(FolderLock, MakesItsFolderAndLetsGo) {
  const TemporaryFolder folder;
  for (int i = 0; i < 2; ++i) {
    const FolderLock lock(folder / "a/b", "training");
    EXPECT_TRUE(fs::is_regular_file(folder / "a/b/.lock"));
  }
}

TEST(FolderLock, IsOneProcesssAtATime) {
  const TemporaryFolder folder;
  Holder other(folder.path());
  EXPECT_EQ(message_of<ConfigError>([&] { FolderLock(folder.path(), "training"); }),
            "another process is training in '" + folder.path().string() +
                "'; wait for it, or give another folder");
  const FolderLock elsewhere(folder / "other", "training");
  other.kill();  // without a chance to clean up
  const FolderLock lock(folder.path(), "training");
}

TEST(FolderLock, IsRefusedTwiceInOneProcessToo) {
  const TemporaryFolder folder;
  const FolderLock lock(folder.path(), "scoring");
  EXPECT_THROW(FolderLock(folder.path(), "scoring"), ConfigError);
}

TEST(FolderLock, NeedsAFolderThatCanBeWritten) {
  const TemporaryFolder folder;
  testing::spill(folder / "file", "");
  EXPECT_THROW(FolderLock(folder / "file", "training"), DataError);
  fs::create_directories(folder / "taken/.lock");
  EXPECT_EQ(message_of<DataError>([&] { FolderLock(folder / "taken", "training"); }),
            "cannot write into '" + (folder / "taken").string() + "': Is a directory");
}

}  // namespace
}  // namespace nagl
