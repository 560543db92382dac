#include "nagl/core/write_behind.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

namespace nagl {
namespace {

TEST(WriteBehind, HandsResultsOverInOrderHoweverLongTheyTake) {
  for (const std::size_t most : {0U, 1U, 3U, 20U}) {
    std::vector<int> done;
    const auto caller = std::this_thread::get_id();
    WriteBehind<int> writer(
        [&](int result) {
          EXPECT_EQ(std::this_thread::get_id(), caller);
          done.push_back(result);
        },
        most);
    for (int i = 0; i < 10; ++i) {
      writer.add([i] {
        std::this_thread::sleep_for(std::chrono::milliseconds(i % 3 == 0 ? 5 : 0));
        return i;
      });
    }
    writer.finish();
    EXPECT_EQ(done, (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})) << most;
  }
}

TEST(WriteBehind, OnlySoManyAreInTheMaking) {
  std::atomic<int> making = 0, largest = 0;
  std::atomic<bool> by_caller = false;
  const auto caller = std::this_thread::get_id();
  const auto work = [&] {
    const int now = ++making;
    int seen = largest;
    while (now > seen && !largest.compare_exchange_weak(seen, now)) {
    }
    if (std::this_thread::get_id() == caller) by_caller = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    --making;
    return 0;
  };
  {
    WriteBehind<int> writer([](int) {}, 3);
    for (int i = 0; i < 12; ++i) writer.add(work);
  }  // waits for those that were begun
  EXPECT_EQ(making, 0);
  EXPECT_LE(largest, 3);
  EXPECT_FALSE(by_caller);
  WriteBehind<int> writer([](int) {}, 0);
  writer.add(work);
  EXPECT_TRUE(by_caller);
}

TEST(WriteBehind, AFailureIsToldAndTheOthersAreStillThere) {
  std::vector<int> done;
  WriteBehind<int> writer([&](int result) { done.push_back(result); }, 5);
  for (int i = 0; i < 4; ++i) {
    writer.add([i] {
      if (i == 1) throw std::runtime_error("second");
      return i;
    });
  }
  EXPECT_THROW(writer.finish(), std::runtime_error);
  writer.finish();
  EXPECT_EQ(done, (std::vector<int>{0, 2, 3}));
}

TEST(WriteBehind, AfterAFailureWhatWorksIsHandedOver) {
  std::vector<int> done;
  WriteBehind<int> writer([&](int result) { done.push_back(result); }, 5);
  for (int i = 0; i < 5; ++i) {
    writer.add([i] {
      if (i % 2 == 1) throw std::runtime_error("odd");
      return i;
    });
  }
  writer.finish_what_works();
  EXPECT_EQ(done, (std::vector<int>{0, 2, 4}));
}

}  // namespace
}  // namespace nagl
