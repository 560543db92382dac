#include "nagl/core/file_history.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>

#include "nagl/core/error.h"
#include "nagl/core/random.h"
#include "support.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;
using testing::message_of;
using testing::slurp;
using testing::spill;
using testing::TemporaryFolder;

std::string noise(std::size_t size, std::uint64_t seed) {
  Random random(seed);
  std::string bytes(size, '\0');
  for (auto& byte : bytes) byte = static_cast<char>(random.integer(256));
  return bytes;
}

TEST(FileHistory, GoesBackByteForByte) {
  const TemporaryFolder folder;
  const fs::path file = folder / "part.bank";
  FileHistory history(file);
  std::vector<std::string> states = {noise(200'000, 1)};
  history.replace(states[0], "begun", 30);
  EXPECT_TRUE(history.list().empty());
  for (std::uint64_t i = 0; i < 20; ++i) {  // bytes come, go and change
    std::string next = states.back();
    if (i % 3 == 0) next.insert(next.size() / 2, noise(10'000, 10 + i));
    if (i % 3 == 1) next.erase(1'000, 5'000);
    if (i % 3 == 2) next[next.size() / 3] ^= 1;
    history.replace(next, "change " + std::to_string(i), 30);
    states.push_back(next);
  }
  const auto listed = history.list();
  ASSERT_EQ(listed.size(), 20U);
  EXPECT_EQ(listed.front().number, 20);
  EXPECT_EQ(listed.front().change, "change 19");
  EXPECT_EQ(listed.back().change, "change 0");
  EXPECT_EQ(listed.front().time.size(), 20U);
  for (std::size_t i = 20; i > 0; --i) {
    EXPECT_EQ(slurp(file), states[i]);
    EXPECT_EQ(history.undo().front().number, static_cast<std::int64_t>(i));
  }
  EXPECT_EQ(slurp(file), states[0]);
  EXPECT_FALSE(fs::exists(history.folder()));
  EXPECT_NE(message_of<DataError>([&] { history.undo(); }).find("no earlier"), std::string::npos);
}

TEST(FileHistory, GoesBackSeveralStepsAtOnceOrNone) {
  const TemporaryFolder folder;
  const fs::path file = folder / "part.bank";
  FileHistory history(file);
  for (const char* state : {"one", "two", "three", "four"}) history.replace(state, state, 9);
  EXPECT_THROW(history.undo(4), DataError);
  EXPECT_EQ(slurp(file), "four");
  EXPECT_EQ(history.undo(2).size(), 2U);
  EXPECT_EQ(slurp(file), "two");
  EXPECT_EQ(history.list().size(), 1U);
}

TEST(FileHistory, OfALinkIsThatOfItsFile) {
  const TemporaryFolder folder;
  fs::create_symlink("one.bank", folder / "current");
  FileHistory(folder / "one.bank").replace("a", "", 9);
  FileHistory(folder / "current").replace("b", "", 9);
  FileHistory(folder / "one.bank").replace("c", "", 9);
  EXPECT_EQ(FileHistory(folder / "current").list().size(), 2U);
  fs::remove(folder / "current");
  fs::create_symlink("two.bank", folder / "current");
  FileHistory(folder / "two.bank").replace("x", "", 9);
  FileHistory(folder / "current").replace("y", "", 9);
  EXPECT_EQ(FileHistory(folder / "one.bank").list().size(), 2U);
  EXPECT_TRUE(fs::is_symlink(folder / "current"));
}

TEST(FileHistory, KeepsOnlyWhatTheNextOneLacks) {
  const TemporaryFolder folder;
  FileHistory history(folder / "part.bank");
  const std::string begun = noise(1'000'000, 1);
  history.replace(begun, "", 30);
  history.replace(noise(50'000, 2) + begun + noise(50'000, 3), "added on both sides", 30);
  EXPECT_LT(history.list().front().bytes, 40'000U);  // the chunks at the seams
  history.replace(begun, "taken away", 30);
  EXPECT_LT(history.list().front().bytes, 140'000U);
}

TEST(FileHistory, KeepsSoManyAndNoMore) {
  const TemporaryFolder folder;
  FileHistory history(folder / "part.bank");
  for (int i = 0; i < 6; ++i) history.replace(std::to_string(i), "to " + std::to_string(i), 3);
  ASSERT_EQ(history.list().size(), 3U);
  EXPECT_EQ(history.list().back().change, "to 3");
  history.replace("5", "the same bytes", 3);
  EXPECT_EQ(history.list().front().change, "to 5");
  history.replace("none", "", 0);
  EXPECT_FALSE(fs::exists(history.folder()));
}

TEST(FileHistory, AFileOfSomebodyElseHasNone) {
  const TemporaryFolder folder;
  const fs::path file = folder / "part.bank";
  FileHistory history(file);
  history.replace("one", "", 9);
  history.replace("two", "", 9);
  spill(file, "another");
  EXPECT_TRUE(history.list().empty());
  EXPECT_THROW(history.undo(), DataError);
  EXPECT_EQ(slurp(file), "another");
  history.replace("three", "goes on", 9);
  ASSERT_EQ(history.list().size(), 1U);  // what belonged to the lost file is gone
  history.undo();
  EXPECT_EQ(slurp(file), "another");
}

TEST(FileHistory, ADamagedGenerationLeavesTheFileAlone) {
  const TemporaryFolder folder;
  const fs::path file = folder / "part.bank";
  FileHistory history(file);
  const std::string first = noise(5'000, 1);
  history.replace(first, "", 9);
  history.replace(noise(5'000, 2), "", 9);
  const fs::path generation = fs::directory_iterator(history.folder())->path();
  std::string stored = slurp(generation);
  const std::string newer = slurp(file);
  stored.back() ^= 1;
  spill(generation, stored);
  EXPECT_NE(message_of<DataError>([&] { history.undo(); }).find("damaged"), std::string::npos);
  spill(generation, stored.substr(0, stored.size() - 10));
  EXPECT_NE(message_of<DataError>([&] { history.undo(); }).find("damaged"), std::string::npos);
  EXPECT_EQ(slurp(file), newer);
  for (const char* other : {"[1]\n", "{\"kind\":7}\n", "{\"kind\":\"nagl generation\"}", ""}) {
    spill(generation, other);
    EXPECT_TRUE(history.list().empty()) << other;
  }
}

/// A process that is killed at any moment of changing and undoing leaves one of the states there
/// are, and a history that leads back from it to the first.
TEST(FileHistory, SurvivesBeingKilled) {
  const TemporaryFolder folder;
  const fs::path file = folder / "part.bank";
  std::vector<std::string> states;
  for (std::uint64_t i = 0; i < 8; ++i) states.push_back(noise(150'000 + 7 * i, i));
  const std::set<std::string> known(states.begin(), states.end());
  FileHistory(file).replace(states[0], "", 30);
  Random random(5);
  for (int trial = 0; trial < 200; ++trial) {
    const pid_t child = ::fork();
    if (child == 0) {
      FileHistory own(file);
      for (std::size_t i = 1; i < states.size(); ++i) own.replace(states[i], "next", 30);
      while (!own.list().empty()) own.undo();
      ::_exit(0);
    }
    ::usleep(static_cast<useconds_t>(random.integer(30'000)));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    FileHistory history(file);
    ASSERT_TRUE(known.contains(slurp(file))) << trial;
    while (!history.list().empty()) history.undo();
    ASSERT_EQ(slurp(file), states[0]) << trial;
  }
}

}  // namespace
}  // namespace nagl
