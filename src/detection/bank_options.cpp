#include "nagl/detection/bank_options.h"

#include <fmt/format.h>

#include "nagl/core/error.h"

namespace nagl {

void BankOptions::check() const {
  encoding.check();
  if (turns != 1 && turns != 4 && turns != 8) {
    throw ConfigError(fmt::format("turns {} is not one of 1, 4, 8", turns));
  }
  if (!(coreset > 0 && coreset <= 1)) {
    throw ConfigError(fmt::format("coreset {} is not a share above 0 and at most 1", coreset));
  }
  if (max_size < 0) throw ConfigError(fmt::format("max size {} is negative", max_size));
  discriminant.check();
  if (top_share && !(*top_share > 0 && *top_share <= 1)) {
    throw ConfigError(fmt::format("top share {} is not above 0 and at most 1", *top_share));
  }
}

std::int64_t automatic_turns(Method method, std::size_t normal_pictures) {
  return method == Method::kAuto && normal_pictures <= kTurnedPictures ? 4 : 1;
}

}  // namespace nagl
