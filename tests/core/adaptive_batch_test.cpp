#include "nagl/core/adaptive_batch.h"

#include <gtest/gtest.h>

#include <vector>

namespace nagl {
namespace {

/// A device with memory for `room` rows, and a note of the batches it was given.
struct SmallDevice {
  std::int64_t room;
  std::vector<std::int64_t> tried = {};

  at::Tensor operator()(const at::Tensor& input) {
    tried.push_back(input.size(0));
    TORCH_CHECK_WITH(OutOfMemoryError, input.size(0) <= room, "too much");
    return input * 2;
  }
};

TEST(AdaptiveBatch, HalvesUntilItFitsAndRemembers) {
  std::vector<std::int64_t> told;
  AdaptiveBatch batch([&](std::int64_t most) { told.push_back(most); });
  SmallDevice device{3};
  const auto input = torch::arange(10);
  EXPECT_TRUE(batch.run(input, std::ref(device)).equal(input * 2));
  EXPECT_EQ(device.tried, (std::vector<std::int64_t>{10, 5, 2, 2, 2, 2, 2}));
  EXPECT_EQ(told, (std::vector<std::int64_t>{5, 2}));
  device.tried.clear();
  EXPECT_TRUE(batch.run(input, std::ref(device)).equal(input * 2));
  EXPECT_EQ(device.tried, (std::vector<std::int64_t>{2, 2, 2, 2, 2}));
  EXPECT_EQ(told.size(), 2U);
}

TEST(AdaptiveBatch, WhatFitsIsLeftAlone) {
  AdaptiveBatch batch;
  SmallDevice device{8};
  EXPECT_EQ(batch.run(torch::arange(8), std::ref(device)).size(0), 8);
  EXPECT_EQ(device.tried, (std::vector<std::int64_t>{8}));
  EXPECT_EQ(batch.run(torch::arange(0), std::ref(device)).size(0), 0);
  EXPECT_EQ(batch.most(), 0);
}

TEST(AdaptiveBatch, SeveralResultsAreCutAndJoinedAlike) {
  AdaptiveBatch batch;
  const auto step = [](const at::Tensor& input) {
    TORCH_CHECK_WITH(OutOfMemoryError, input.size(0) <= 4, "too much");
    return std::vector<at::Tensor>{input * 2, input.reshape({-1, 1}) + 1};
  };
  const auto input = torch::arange(10);
  const auto results = batch.run_several(input, step);
  ASSERT_EQ(results.size(), 2U);
  EXPECT_TRUE(results[0].equal(input * 2));
  EXPECT_TRUE(results[1].equal(input.reshape({10, 1}) + 1));
  EXPECT_EQ(batch.most(), 2);
  const auto none = [](const at::Tensor&) { return std::vector<at::Tensor>(); };
  EXPECT_TRUE(batch.run_several(input, none).empty());
}

TEST(AdaptiveBatch, OneThatDoesNotFitIsAnError) {
  AdaptiveBatch batch;
  SmallDevice device{0};
  EXPECT_THROW(batch.run(torch::arange(4), std::ref(device)), c10::OutOfMemoryError);
  EXPECT_EQ(device.tried, (std::vector<std::int64_t>{4, 2, 1}));
}

// Libraries beside Torch's allocator say it in words of their own.
TEST(AdaptiveBatch, WantOfMemoryHasManyNames) {
  for (const char* words :
       {"CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasLtCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED"}) {
    AdaptiveBatch batch;
    const auto step = [&](const at::Tensor& input) {
      TORCH_CHECK(input.size(0) <= 3, words);
      return input * 2;
    };
    EXPECT_TRUE(batch.run(torch::arange(10), step).equal(torch::arange(10) * 2)) << words;
    EXPECT_EQ(batch.most(), 2) << words;
  }
}

TEST(AdaptiveBatch, OtherErrorsPass) {
  AdaptiveBatch batch;
  const auto wrong = [](const at::Tensor&) -> at::Tensor {
    TORCH_CHECK(false, "CUDA error: CUBLAS_STATUS_INVALID_VALUE");
  };
  EXPECT_THROW(batch.run(torch::arange(4), wrong), c10::Error);
  EXPECT_EQ(batch.most(), 0);
  const auto failing = [](const at::Tensor&) -> at::Tensor { throw std::logic_error("other"); };
  EXPECT_THROW(batch.run(torch::arange(4), failing), std::logic_error);
}

}  // namespace
}  // namespace nagl
