#pragma once

#include <cstdint>
#include <string>

namespace nagl {

/// The size at which pictures enter the network, in pixels.
struct ImageSize {
  std::int64_t height = 448;
  std::int64_t width = 448;

  bool operator==(const ImageSize&) const = default;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("height", self.height);
    visit("width", self.width);
  }
};

/// `N` or `HxW`, sides in 1..16384. @throws ConfigError on anything else
void parse(const std::string& text, ImageSize& size);
/// `448x448`.
std::string to_string(ImageSize size);

}  // namespace nagl
