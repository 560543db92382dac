#include "nagl/dataset/region_of_interest.h"

#include <utility>

#include "nagl/core/error.h"
#include "nagl/image/annotation.h"

namespace nagl {

RoiFinder::RoiFinder(std::filesystem::path roi) : roi_(std::move(roi)) {
  std::error_code error;
  if (!roi_.empty() && std::filesystem::is_directory(roi_, error))
    index_.emplace(roi_, /*with_annotations=*/true, /*exclusive=*/false);
}

std::optional<std::filesystem::path> RoiFinder::shared() const {
  if (roi_.empty() || index_ || is_annotation(roi_)) return std::nullopt;
  return roi_;
}

std::optional<std::filesystem::path> RoiFinder::find(const PictureFile& picture) const {
  if (roi_.empty()) return std::nullopt;
  auto found = index_ ? index_->find(picture) : std::optional(roi_);
  if (!found) {
    throw DataError("'" + picture.path.string() + "' has no region of interest in '" +
                    roi_.string() + "'");
  }
  return found;
}

}  // namespace nagl
