#pragma once

#include <nlohmann/json.hpp>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <sstream>
#include <string>
#include <vector>

namespace nagl::testing {

/// Grey noise with, where asked for, a red spot.
inline cv::Mat part(std::uint64_t seed, bool defect) {
  cv::Mat picture(90, 120, CV_8UC3);
  cv::RNG(seed).fill(picture, cv::RNG::NORMAL, cv::Scalar::all(110), cv::Scalar::all(10));
  if (defect) cv::circle(picture, {80, 30}, 14, cv::Scalar(20, 20, 220), -1);
  return picture;
}

/// The mask of the spot.
inline cv::Mat spot_mask() {
  cv::Mat mask = cv::Mat::zeros(90, 120, CV_8U);
  cv::circle(mask, {80, 30}, 14, cv::Scalar(255), -1);
  return mask;
}

/// JSON lines.
inline std::vector<nlohmann::json> lines(const std::string& text) {
  std::vector<nlohmann::json> values;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) values.push_back(nlohmann::json::parse(line));
  return values;
}

}  // namespace nagl::testing
