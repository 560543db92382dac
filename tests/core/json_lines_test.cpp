#include "nagl/core/json_lines.h"

#include <signal.h>
#include <sys/resource.h>

#include <thread>

#include "nagl/core/error.h"
#include "support.h"

namespace nagl {
namespace {

using testing::message_of;
using testing::slurp;
using testing::spill;

TEST(JsonLines, GrowByWholeLines) {
  const testing::TemporaryFolder folder;
  const auto path = folder / "a.jsonl";
  EXPECT_EQ(json_line(Json::parse(R"({"b": [1, 2]})")), "{\"b\":[1,2]}\n");
  JsonLinesFile file(path);
  file.append(Json::parse(R"({"b": 1, "a": "x\ny"})"));
  EXPECT_EQ(slurp(path), "{\"b\":1,\"a\":\"x\\ny\"}\n");  // there at once, not when it is closed
  JsonLinesFile(path).append(2);
  file.append(3);
  EXPECT_EQ(slurp(path), "{\"b\":1,\"a\":\"x\\ny\"}\n2\n3\n");
  EXPECT_EQ(read_json_lines(path), (std::vector<Json>{{{"b", 1}, {"a", "x\ny"}}, 2, 3}));
}

TEST(JsonLines, SeveralThreadsMayAppendToOneFile) {
  const testing::TemporaryFolder folder;
  const auto path = folder / "a.jsonl";
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&path, i] {
      JsonLinesFile file(path);
      for (int k = 0; k < 50; ++k) file.append({{"text", std::string(5000, 'a' + i)}});
    });
  }
  for (auto& thread : threads) thread.join();
  const auto lines = read_json_lines(path);
  ASSERT_EQ(lines.size(), 200U);
  for (const auto& line : lines) EXPECT_EQ(line["text"].get<std::string>().size(), 5000U);
}

TEST(JsonLines, WhatIsBrokenIsPassedOver) {
  const testing::TemporaryFolder folder;
  const auto path = folder / "a.jsonl";
  EXPECT_TRUE(read_json_lines(path).empty());
  spill(path, "{\"a\": 1}\n\n{\"a\": \nwords\n[2]\n{\"a\": 3");
  EXPECT_EQ(read_json_lines(path), (std::vector<Json>{{{"a", 1}}, Json::array({2})}));
  JsonLinesFile(path).append(4);  // not onto the line that was cut off
  EXPECT_EQ(read_json_lines(path), (std::vector<Json>{{{"a", 1}}, Json::array({2}), 4}));
}

TEST(JsonLines, ALineThatWasCutShortGoesAndOneThatLacksItsEndStays) {
  const testing::TemporaryFolder folder;
  const auto path = folder / "a.jsonl";
  spill(path, "{\"a\": 1}\n{\"path\": \"/x/" + std::string(9000, 'y'));
  JsonLinesFile(path).append(2);
  EXPECT_EQ(slurp(path), "{\"a\": 1}\n2\n");
  spill(path, "{\"a\": 1}\n{\"a\": 2}");
  JsonLinesFile(path).append(3);
  EXPECT_EQ(slurp(path), "{\"a\": 1}\n{\"a\": 2}\n3\n");
}

TEST(JsonLines, AFullDiskLeavesWholeLines) {
  const testing::TemporaryFolder folder;
  const auto path = folder / "a.jsonl";
  JsonLinesFile file(path);
  file.append(1);
  signal(SIGXFSZ, SIG_IGN);
  struct rlimit before {};
  getrlimit(RLIMIT_FSIZE, &before);
  const struct rlimit small { 1000, before.rlim_max };
  setrlimit(RLIMIT_FSIZE, &small);
  EXPECT_THROW(file.append(std::string(5000, 'x')), DataError);
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(slurp(path), "1\n");
  file.append(2);
  EXPECT_EQ(slurp(path), "1\n2\n");
}

TEST(JsonLines, FilesThatCannotBeUsedAreNamed) {
  const testing::TemporaryFolder folder;
  EXPECT_NE(
      message_of<DataError>([&] { JsonLinesFile file(folder / "none/a.jsonl"); }).find("a.jsonl"),
      std::string::npos);
  EXPECT_NE(
      message_of<DataError>([&] { read_json_lines(folder.path()); }).find(folder.path().string()),
      std::string::npos);
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no device that is always full";
  JsonLinesFile full("/dev/full");
  EXPECT_THROW(full.append(1), DataError);
}

}  // namespace
}  // namespace nagl
