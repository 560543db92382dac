#include "query_reader.h"

#include <omp.h>

#include <opencv2/imgproc.hpp>
#include <utility>

namespace nagl {
namespace {

ReadQuery read_query(const Sample& sample, const DetectorOptions& detection, bool empty_is_good) {
  omp_set_num_threads(1);  // of this thread's own work: the others are busy
  const c10::InferenceMode guard;
  ReadQuery query;
  query.sample = &sample;
  const Image image = read_image(sample.path, detection.decode);
  query.size = image.rgb.size();
  query.pixels = preprocess(image, detection.image_size);
  query.anomalous = sample.anomalous();
  cv::Mat mask;
  if (!sample.anomalous()) {
    mask = cv::Mat::zeros(query.size, CV_8U);
  } else if (!sample.masks.empty()) {
    mask = read_masks_for(image, sample.masks);
    if (mask.size() != query.size) {
      cv::resize(mask, mask, query.size, 0, 0, cv::INTER_NEAREST);
    }
  }
  if (mask.empty()) return query;
  query.truth = find_regions({mask.ptr<std::uint8_t>(), mask.total()}, mask.rows, mask.cols);
  if (query.anomalous && query.truth->count() == 0) {
    // A defect that its mask does not show: a good picture by the published code, else unknown.
    if (empty_is_good) {
      query.anomalous = false;
    } else {
      query.truth.reset();
    }
  }
  return query;
}

}  // namespace

QueryReader::QueryReader(const Category& category, std::vector<std::size_t> indices,
                         const DetectorOptions& detection, bool empty_is_good, std::size_t ahead)
    : category_(category),
      indices_(std::move(indices)),
      detection_(detection),
      empty_is_good_(empty_is_good),
      ahead_(ahead) {
  for (std::size_t i = 0; i < ahead_; ++i) start();
}

QueryReader::~QueryReader() {
  for (const auto& query : waiting_) query.wait();
}

void QueryReader::start() {
  if (started_ == indices_.size()) return;
  const Sample& sample = category_.test[indices_[started_++]];
  waiting_.push_back(std::async(std::launch::async, [this, &sample] {
    return read_query(sample, detection_, empty_is_good_);
  }));
}

ReadQuery QueryReader::next() {
  std::future<ReadQuery> query = std::move(waiting_.front());
  waiting_.pop_front();
  start();
  return query.get();
}

}  // namespace nagl
