#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <opencv2/core/mat.hpp>
#include <optional>
#include <string>
#include <vector>

#include "nagl/core/enum_names.h"

namespace nagl {

/// Across what a volume is cut into slices.
enum class SliceAxis { kAxial, kCoronal, kSagittal };

constexpr auto names_of(SliceAxis) {
  return EnumNames<SliceAxis, 3>{"axis",
                                 {{{SliceAxis::kAxial, "axial"},
                                   {SliceAxis::kCoronal, "coronal"},
                                   {SliceAxis::kSagittal, "sagittal"}}}};
}

/// A medical volume, turned so that its axes lead to the patient's right, front and top (RAS, the
/// canonical order of the NIfTI-1 standard).
class Volume {
 public:
  /// @param size voxels to the right, front and top @param voxels as the file scales them, those to
  /// the right next to each other; what is not finite counts as 0
  Volume(std::array<std::int64_t, 3> size, std::vector<float> voxels);

  const std::array<std::int64_t, 3>& size() const { return size_; }
  const std::vector<float>& voxels() const { return voxels_; }
  float at(std::int64_t x, std::int64_t y, std::int64_t z) const {
    return voxels_[static_cast<std::size_t>((z * size_[1] + y) * size_[0] + x)];
  }

  /// Whether all voxels are 0.
  bool empty() const { return empty_; }
  std::int64_t slices(SliceAxis axis) const;
  cv::Size slice_size(SliceAxis axis) const;
  /// float32 [H, W]: axial, front up; coronal and sagittal, top up. The patient's left (of a
  /// sagittal one, the back) lies on the left.
  cv::Mat slice(SliceAxis axis, std::int64_t index) const;
  /// The same as 8-bit grey, scaled so that the 0.5 and 99.5 percentile of the volume become 0 and
  /// 255. Where no voxel is below 0, those of 0 are the ground: black, and no part of the
  /// percentiles.
  cv::Mat grey_slice(SliceAxis axis, std::int64_t index) const;
  /// Puts values in the place of a slice. @param values as `slice` gives them
  /// @throws std::invalid_argument on another size
  void set_slice(SliceAxis axis, std::int64_t index, const cv::Mat& values);
  /// The voxels of a slice that are not 0.
  std::int64_t filled(SliceAxis axis, std::int64_t index) const;

 private:
  /// Calls `use(row, column, place in voxels_)` for each pixel of a slice.
  template <typename Use>
  void for_each_pixel(SliceAxis axis, std::int64_t index, Use&& use) const;

  std::array<std::int64_t, 3> size_;
  std::vector<float> voxels_;
  bool empty_ = true;
  float low_ = 0, high_ = 1;
  bool grounded_ = true;  ///< 0 is what lies outside
};

/// Whether a file is called like a volume (`.nii`, `.nii.gz`).
bool is_volume(const std::filesystem::path& file);

/// Reads a NIfTI-1 file of one volume, compressed or not. The last few that were read are
/// remembered. @throws DataError naming it, also where nagl was built without libnifti
std::shared_ptr<const Volume> read_volume(const std::filesystem::path& file);

/// Writes a volume that lies and is spaced as the one in `like`, as float32, compressed if `path`
/// ends in `.gz`; atomically. @throws DataError naming the file
void write_volume_like(const std::filesystem::path& like, const std::filesystem::path& path,
                       const Volume& volume);

/// A slice's name, as in `axial:77`; the index is from 0 as the axes of `Volume` lead.
struct SliceName {
  SliceAxis axis = SliceAxis::kAxial;
  std::int64_t index = 0;

  static std::optional<SliceName> parse(const std::string& part);
  std::string text() const;
};

/// The pictures that a path names: the slices of a volume that are not empty (`x.nii.gz`,
/// `x.nii.gz#coronal`), a range of them (`#axial:60-90`), all pages of a TIFF (`x.tif#all`); else
/// itself.
/// @throws DataError naming it if there are none
std::vector<std::filesystem::path> pictures_in(const std::filesystem::path& path);

}  // namespace nagl
