#include "nagl/image/volume.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <new>
#include <opencv2/core.hpp>
#include <stdexcept>

#include "dicom.h"
#include "nagl/core/atomic_file.h"
#include "nagl/core/error.h"
#include "nagl/core/file_part.h"
#include "nagl/core/quantile.h"
#include "nagl/core/recent_files.h"
#include "nagl/core/text.h"
#include "nifti.h"
#include "picture_header.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

/// This share of the values is black, and one as large white.
constexpr double kBlackShare = 0.005;

std::optional<std::int64_t> whole(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0) return std::nullopt;
  return number;
}

std::optional<SliceAxis> axis_named(const std::string& name) {
  for (const auto axis : {SliceAxis::kAxial, SliceAxis::kCoronal, SliceAxis::kSagittal}) {
    if (lower_case(name) == to_string(axis)) return axis;
  }
  return std::nullopt;
}

[[noreturn]] void fail(const fs::path& path, const std::string& why) {
  throw DataError(fmt::format("'{}' {}", path.string(), why));
}

fs::path part(const fs::path& file, const std::string& name) {
  return fmt::format("{}#{}", file.string(), name);
}

int frames_of(const fs::path& file, std::string_view bytes) {
  try {
    return dicom_frames(file, bytes);
  } catch (const DicomFault& fault) {
    fail(file, fault.what());
  }
}

std::vector<fs::path> slices_in(const fs::path& path, const FilePart& named) {
  const auto colon = named.part.find(':');
  const auto axis =
      named.part.empty() ? SliceAxis::kAxial : axis_named(named.part.substr(0, colon));
  const auto refuse = [&] {
    fail(path,
         "names no slice: after the # stands axial, coronal or sagittal, alone or with a "
         "number or a range, as in #axial:77 or #axial:60-90");
  };
  if (!axis) refuse();
  const auto volume = read_volume(named.file);
  const std::int64_t count = volume->slices(*axis);
  std::int64_t first = 0, last = count - 1;
  const bool all = colon == std::string::npos;
  if (!all) {
    const std::string_view range = std::string_view(named.part).substr(colon + 1);
    const auto dash = range.find('-');
    const auto from = whole(range.substr(0, dash));
    const auto to = dash == std::string_view::npos ? from : whole(range.substr(dash + 1));
    if (!from || !to || *from > *to) refuse();
    if (*to >= count) {
      fail(path, fmt::format("is not there: '{}' has the {} slices 0 to {}", named.file.string(),
                             to_string(*axis), count - 1));
    }
    first = *from;
    last = *to;
  }
  std::vector<fs::path> slices;
  for (std::int64_t i = first; i <= last; ++i) {
    if (all && volume->filled(*axis, i) == 0) continue;
    slices.push_back(part(named.file, SliceName{*axis, i}.text()));
  }
  if (slices.empty()) fail(path, "is empty: all its voxels are 0");
  return slices;
}

}  // namespace

Volume::Volume(std::array<std::int64_t, 3> size, std::vector<float> voxels)
    : size_(size), voxels_(std::move(voxels)) {
  std::vector<float> filled;
  for (auto& voxel : voxels_) {
    if (!std::isfinite(voxel)) voxel = 0;
    if (voxel != 0) filled.push_back(voxel);
  }
  empty_ = filled.empty();
  if (empty_) return;
  grounded_ = *std::min_element(filled.begin(), filled.end()) > 0;
  if (!grounded_) filled = voxels_;
  low_ = static_cast<float>(quantile(filled, kBlackShare));
  high_ = static_cast<float>(quantile(filled, 1 - kBlackShare));
}

std::int64_t Volume::slices(SliceAxis axis) const {
  return size_[axis == SliceAxis::kAxial ? 2 : axis == SliceAxis::kCoronal ? 1 : 0];
}

cv::Size Volume::slice_size(SliceAxis axis) const {
  return {static_cast<int>(axis == SliceAxis::kSagittal ? size_[1] : size_[0]),
          static_cast<int>(axis == SliceAxis::kAxial ? size_[1] : size_[2])};
}

template <typename Use>
void Volume::for_each_pixel(SliceAxis axis, std::int64_t index, Use&& use) const {
  const cv::Size picture = slice_size(axis);
  for (int row = 0; row < picture.height; ++row) {
    const std::int64_t up = picture.height - 1 - row;
    for (int column = 0; column < picture.width; ++column) {
      const std::int64_t x = axis == SliceAxis::kSagittal ? index : column;
      const std::int64_t y = axis == SliceAxis::kSagittal ? column
                             : axis == SliceAxis::kAxial  ? up
                                                          : index;
      const std::int64_t z = axis == SliceAxis::kAxial ? index : up;
      use(row, column, static_cast<std::size_t>((z * size_[1] + y) * size_[0] + x));
    }
  }
}

cv::Mat Volume::slice(SliceAxis axis, std::int64_t index) const {
  cv::Mat picture(slice_size(axis), CV_32F);
  for_each_pixel(axis, index, [&](int row, int column, std::size_t place) {
    picture.at<float>(row, column) = voxels_[place];
  });
  return picture;
}

void Volume::set_slice(SliceAxis axis, std::int64_t index, const cv::Mat& values) {
  if (values.size() != slice_size(axis) || values.type() != CV_32F || index < 0 ||
      index >= slices(axis)) {
    throw std::invalid_argument("volume: the slice does not fit");
  }
  for_each_pixel(axis, index, [&](int row, int column, std::size_t place) {
    voxels_[place] = values.at<float>(row, column);
  });
}

cv::Mat Volume::grey_slice(SliceAxis axis, std::int64_t index) const {
  const cv::Mat values = slice(axis, index);
  cv::Mat grey;
  const double range = std::max(1e-30, static_cast<double>(high_) - static_cast<double>(low_));
  values.convertTo(grey, CV_8U, 255 / range, -static_cast<double>(low_) * 255 / range);
  if (grounded_) grey.setTo(0, values == 0);
  return grey;
}

std::int64_t Volume::filled(SliceAxis axis, std::int64_t index) const {
  return cv::countNonZero(slice(axis, index));
}

bool is_volume(const fs::path& file) {
  const std::string name = lower_case(file.filename().string());
  return !name.starts_with('.') && (name.ends_with(".nii") || name.ends_with(".nii.gz"));
}

std::shared_ptr<const Volume> read_volume(const fs::path& file) {
  static RecentFiles<std::shared_ptr<const Volume>> known(4);
  try {
    return known.get(file, [&] { return std::make_shared<const Volume>(decode_nifti(file)); });
  } catch (const NiftiFault& fault) {
    fail(file, fault.what());
  } catch (const std::bad_alloc&) {
    fail(file, "needs more memory than there is");
  }
}

void write_volume_like(const fs::path& like, const fs::path& path, const Volume& volume) {
  try {
    std::string bytes = encode_nifti_like(like, volume);
    if (lower_case(path.extension().string()) == ".gz") bytes = compressed(bytes);
    write_file(path, bytes);
  } catch (const NiftiFault& fault) {
    fail(path, fault.what());
  }
}

std::optional<SliceName> SliceName::parse(const std::string& part) {
  const auto colon = part.find(':');
  if (colon == std::string::npos) return std::nullopt;
  const auto axis = axis_named(part.substr(0, colon));
  const auto index = whole(std::string_view(part).substr(colon + 1));
  if (!axis || !index) return std::nullopt;
  return SliceName{*axis, *index};
}

std::string SliceName::text() const { return fmt::format("{}:{}", to_string(axis), index); }

std::vector<fs::path> pictures_in(const fs::path& path) {
  const FilePart named = file_part_of(path);
  if (is_volume(named.file)) return slices_in(path, named);
  if (lower_case(named.part) != "all") return {path};
  constexpr std::size_t kLargestFile = std::size_t{1} << 31;
  const std::string bytes = read_file(named.file, kLargestFile - 1);
  const PictureHeader header = read_header(bytes);
  const int count =
      header.format == PictureFormat::kDicom ? frames_of(named.file, bytes) : header.pages;
  std::vector<fs::path> pages;
  for (int i = 0; i < count; ++i) pages.push_back(part(named.file, std::to_string(i)));
  return pages;
}

}  // namespace nagl
