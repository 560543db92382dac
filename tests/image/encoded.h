#pragma once

#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <string>
#include <vector>

namespace nagl::testing {

/// A picture as the bytes of a file.
inline std::string encoded(const std::string& extension, const cv::Mat& picture,
                           const std::vector<int>& parameters = {}) {
  std::vector<unsigned char> bytes;
  cv::imencode(extension, picture, bytes, parameters);
  return {bytes.begin(), bytes.end()};
}

}  // namespace nagl::testing
