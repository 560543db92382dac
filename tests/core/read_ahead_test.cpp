#include "nagl/core/read_ahead.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

namespace nagl {
namespace {

TEST(ReadAhead, GivesItemsInOrderHoweverManyAreAhead) {
  for (const std::size_t ahead : {0U, 1U, 3U, 20U}) {
    ReadAhead<std::size_t> reader(
        10, [](std::size_t i) { return i * i; }, ahead);
    for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(reader.next(), i * i) << ahead;
  }
}

TEST(ReadAhead, ReadsOnlySoManyBeforeTheyAreAskedFor) {
  std::atomic<int> begun = 0;
  const auto caller = std::this_thread::get_id();
  std::atomic<bool> by_caller = false;
  const auto read = [&](std::size_t i) {
    ++begun;
    if (std::this_thread::get_id() == caller) by_caller = true;
    return i;
  };
  {
    ReadAhead<std::size_t> reader(10, read, 3);
    reader.next();
  }  // waits for those that were begun
  EXPECT_EQ(begun, 4);
  EXPECT_FALSE(by_caller);
  ReadAhead<std::size_t> reader(10, read, 0);
  EXPECT_EQ(begun, 4);
  reader.next();
  EXPECT_EQ(begun, 5);
  EXPECT_TRUE(by_caller);
}

TEST(ReadAhead, AnErrorIsOfItsItem) {
  const auto read = [](std::size_t i) {
    if (i == 1) throw std::runtime_error("second");
    return i;
  };
  ReadAhead<std::size_t> reader(3, read, 3);
  EXPECT_EQ(reader.next(), 0U);
  EXPECT_THROW(reader.next(), std::runtime_error);
  EXPECT_EQ(reader.next(), 2U);
}

}  // namespace
}  // namespace nagl
