#include "publishing/spool.h"

#include "nagl/core/error.h"
#include "support.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;
using testing::message_of;
using testing::spill;
using testing::TemporaryFolder;

/// What waits, the oldest first; the spool is empty then.
std::vector<std::string> drained(Spool& spool) {
  std::vector<std::string> texts;
  while (const Spool::Entry* oldest = spool.oldest()) {
    texts.push_back(spool.read(*oldest).value_or("damaged"));
    spool.remove(std::string(oldest->name));
  }
  return texts;
}

TEST(Spool, KeepsTheOrder) {
  const TemporaryFolder folder;
  Spool spool(folder / "spool", 1000);
  for (int i = 0; i < 12; ++i) spool.add(std::to_string(i));
  EXPECT_EQ(spool.size(), 12U);
  EXPECT_EQ(spool.bytes(), 14);
  EXPECT_EQ(drained(spool), (std::vector<std::string>{"0", "1", "2", "3", "4", "5", "6", "7", "8",
                                                      "9", "10", "11"}));
  EXPECT_EQ(spool.bytes(), 0);
}

TEST(Spool, TheNextProcessTakesOverWhatIsLeft) {
  const TemporaryFolder folder;
  {
    Spool spool(folder / "spool", 1000);
    spool.add("1");
    spool.add("[2]");
  }
  spill(folder / "spool/notes.txt", "somebody's own");
  Spool spool(folder / "spool", 1000);
  spool.add("3");
  EXPECT_EQ(spool.bytes(), 5);
  EXPECT_EQ(drained(spool), (std::vector<std::string>{"1", "[2]", "3"}));
  EXPECT_TRUE(fs::exists(folder / "spool/notes.txt"));
}

TEST(Spool, GivesUpTheOldest) {
  const TemporaryFolder folder;
  Spool spool(folder / "spool", 6);
  for (const char* text : {"11", "22", "33"}) spool.add(text);
  EXPECT_EQ(spool.give_up(), 0U);
  spool.add("44");
  EXPECT_EQ(spool.give_up(), 1U);
  // What is on its way stays: the next one goes.
  const std::string sending = spool.oldest()->name;
  spool.add("55");
  EXPECT_EQ(spool.give_up(sending), 1U);
  EXPECT_EQ(drained(spool), (std::vector<std::string>{"22", "44", "55"}));
  // One that is larger than all that may wait.
  spool.add("7777777");
  EXPECT_EQ(spool.give_up(), 1U);
  EXPECT_EQ(spool.size(), 0U);
}

TEST(Spool, ADamagedFileIsNoResult) {
  const TemporaryFolder folder;
  {
    Spool spool(folder / "spool", 1000);
    spool.add("{\"a\": 1}");
  }
  for (const auto& file : fs::directory_iterator(folder / "spool")) spill(file.path(), "{\"a\"");
  Spool spool(folder / "spool", 1000);
  EXPECT_EQ(drained(spool), std::vector<std::string>{"damaged"});
}

TEST(Spool, IsOfOneProcess) {
  const TemporaryFolder folder;
  const Spool spool(folder / "spool", 1000);
  const auto message = message_of<ConfigError>([&] { Spool(folder / "spool", 1000); });
  EXPECT_NE(message.find("another process"), std::string::npos) << message;
  spill(folder / "file", "");
  EXPECT_NE(message_of<DataError>([&] { Spool(folder / "file", 1000); }), "");
}

}  // namespace
}  // namespace nagl
