#include "nagl/core/image_size.h"

#include <fmt/format.h>

#include <optional>
#include <string_view>

#include "nagl/core/error.h"
#include "nagl/core/text.h"

namespace nagl {
namespace {

constexpr std::int64_t kLargestSide = 16384;

std::optional<std::int64_t> parse_side(std::string_view text) {
  const auto side = whole_number(text);
  return side && *side >= 1 && *side <= kLargestSide ? side : std::nullopt;
}

}  // namespace

void parse(const std::string& text, ImageSize& size) {
  const auto cross = text.find_first_of("xX");
  const auto height = parse_side(std::string_view(text).substr(0, cross));
  const auto width =
      cross == std::string::npos ? height : parse_side(std::string_view(text).substr(cross + 1));
  if (!height || !width) {
    throw ConfigError(
        fmt::format("image size '{}' is not N or HxW with sides in 1..{}", text, kLargestSide));
  }
  size = {*height, *width};
}

std::string to_string(ImageSize size) { return fmt::format("{}x{}", size.height, size.width); }

}  // namespace nagl
