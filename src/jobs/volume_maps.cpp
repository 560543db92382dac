#include "volume_maps.h"

#include <fmt/format.h>

#include <set>

#include "nagl/core/file_part.h"

namespace nagl::jobs {
namespace {

namespace fs = std::filesystem;

std::string key_of(const FilePart& named, SliceAxis axis) {
  return named.file.string() + "#" + to_string(axis);
}

}  // namespace

VolumeMaps::VolumeMaps(fs::path out, const std::vector<QueryFile>& queries) {
  if (out.empty()) return;
  std::set<fs::path> taken;
  for (const auto& query : queries) {
    const FilePart named = file_part_of(query.file.path);
    const auto slice = SliceName::parse(named.part);
    if (!slice || !is_volume(named.file)) continue;
    Whole& whole = wholes_[key_of(named, slice->axis)];
    ++whole.left;
    if (whole.left > 1) continue;
    whole.file = named.file;
    // The slices' name without its number; by the whole path where another volume has that.
    const auto named_by = [&](const fs::path& place) {
      const std::string stem = stem_of(place).string();
      return out / "volumes" / fmt::format("{}.nii.gz", stem.substr(0, stem.rfind('-')));
    };
    whole.written = named_by(query.place.empty() ? query.file.relative() : query.place);
    if (!taken.insert(whole.written).second) {
      whole.written = named_by(place_of(query.file.path));
      taken.insert(whole.written);
    }
  }
}

void VolumeMaps::add(const QueryFile& query, const cv::Mat& map) {
  const FilePart named = file_part_of(query.file.path);
  const auto slice = SliceName::parse(named.part);
  if (!slice) return;
  const std::lock_guard lock(mutex_);
  const auto found = wholes_.find(key_of(named, slice->axis));
  if (found == wholes_.end()) return;
  Whole& whole = found->second;
  if (!map.empty()) {
    if (!whole.scores) {
      const auto volume = read_volume(named.file);
      whole.scores =
          std::make_unique<Volume>(volume->size(), std::vector<float>(volume->voxels().size(), 0));
    }
    whole.scores->set_slice(slice->axis, slice->index, map);
  }
  if (--whole.left == 0) whole.write();
}

void VolumeMaps::finish() {
  const std::lock_guard lock(mutex_);
  for (auto& [key, whole] : wholes_) whole.write();
}

void VolumeMaps::Whole::write() {
  if (!scores) return;
  write_volume_like(file, written, *scores);
  scores.reset();
}

}  // namespace nagl::jobs
