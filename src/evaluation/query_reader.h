#pragma once

#include <torch/torch.h>

#include <deque>
#include <future>
#include <opencv2/core/mat.hpp>
#include <optional>
#include <vector>

#include "nagl/dataset/dataset.h"
#include "nagl/detection/detector.h"
#include "nagl/metrics/pixel_metrics.h"

namespace nagl {

/// A query as it is scored, and what it should give.
struct ReadQuery {
  const Sample* sample = nullptr;
  at::Tensor pixels;             ///< [3, H, W] float32
  cv::Size size;                 ///< the picture's own
  bool anomalous = false;        ///< as the protocol counts it
  std::optional<Regions> truth;  ///< at the picture's own size; nothing where it is not known
};

/// Reads queries one after the other, some ahead of time and beside the caller's own work.
class QueryReader {
 public:
  /// @param indices of `category.test` @param empty_is_good whether a defective picture with an
  /// empty mask counts as good @param ahead how many are read before they are asked for
  QueryReader(const Category& category, std::vector<std::size_t> indices,
              const DetectorOptions& detection, bool empty_is_good, std::size_t ahead);
  ~QueryReader();
  QueryReader(const QueryReader&) = delete;
  QueryReader& operator=(const QueryReader&) = delete;

  /// The next query. @throws DataError naming the file if it cannot be read
  ReadQuery next();

 private:
  void start();

  const Category& category_;
  std::vector<std::size_t> indices_;
  DetectorOptions detection_;
  bool empty_is_good_;
  std::size_t ahead_, started_ = 0;
  std::deque<std::future<ReadQuery>> waiting_;
};

}  // namespace nagl
