#include "pictures.h"

#include <fmt/format.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/string.h>

#include <limits>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "keywords.h"
#include "nagl/core/error.h"
#include "nagl/image/mask.h"

namespace nagl::python {
namespace {

using Array = nb::ndarray<nb::ro, nb::device::cpu, nb::c_contig>;

[[noreturn]] void refuse(const std::string& name, const std::string& why) {
  throw DataError(fmt::format("{} {}", name, why));
}

/// Pixels of a PIL image as numpy sees them: upright, grey or RGB. PIL is imported where there is
/// one, and only then.
nb::object pixels_of_pil(nb::object image, const std::string& name) {
  image = nb::module_::import_("PIL.ImageOps").attr("exif_transpose")(image);
  const auto mode = nb::cast<std::string>(image.attr("mode"));
  const nb::object numpy = nb::module_::import_("numpy");
  if (mode.starts_with("I;16")) return numpy.attr("asarray")(image).attr("astype")("uint16");
  if (mode == "I" || mode == "F") {
    refuse(name, fmt::format("is a PIL image of mode {}; convert it to L, RGB or I;16", mode));
  }
  const bool grey = mode == "1" || mode == "L" || mode == "LA";
  return numpy.attr("asarray")(image.attr("convert")(grey ? "L" : "RGB"));
}

bool is_pil(nb::handle given) {
  const nb::dict modules = nb::module_::import_("sys").attr("modules");
  return modules.contains("PIL.Image") &&
         nb::isinstance(given, nb::object(modules["PIL.Image"]).attr("Image"));
}

/// A torch tensor or a numpy array, as a numpy array whose samples lie in their order.
nb::object as_array(nb::handle given, const std::string& name) {
  nb::object array = nb::borrow(given);
  if (nb::hasattr(given, "detach") && nb::hasattr(given, "cpu")) {
    array = given.attr("detach")().attr("cpu")().attr("numpy")();
  }
  const nb::object numpy = nb::module_::import_("numpy");
  if (!nb::isinstance(array, numpy.attr("ndarray"))) {
    Keywords::refuse(name.c_str(), given, "a path, a numpy array, a PIL image or a torch tensor");
  }
  return numpy.attr("ascontiguousarray")(array);
}

std::string text_of(nb::object value) { return nb::str(nb::handle(value)).c_str(); }
std::string shape_of(nb::handle array) { return text_of(array.attr("shape")); }
std::string type_of(nb::handle array) { return text_of(array.attr("dtype")); }

/// What an array's samples may be. @return empty if they are not
Array samples_of(nb::handle array, bool sixteen, bool boolean) {
  Array samples;
  if (!nb::try_cast<Array>(array, samples, /*convert=*/false)) return {};
  const auto type = samples.dtype();
  const bool bytes = type == nb::dtype<std::uint8_t>();
  if (bytes || (sixteen && type == nb::dtype<std::uint16_t>()) ||
      (boolean && type == nb::dtype<bool>())) {
    return samples;
  }
  return {};
}

void check_sides(const Array& samples, const std::string& name) {
  for (std::size_t side = 0; side < 2; ++side) {
    if (samples.shape(side) < 1) refuse(name, "is empty");
    if (samples.shape(side) > std::numeric_limits<std::int32_t>::max())
      refuse(name, "is too large");
  }
}

/// @param channels 1 or 3 @return a header of the array's own memory
cv::Mat header_of(const Array& samples, int channels) {
  const int depth = samples.dtype() == nb::dtype<std::uint16_t>() ? CV_16U : CV_8U;
  return cv::Mat(static_cast<int>(samples.shape(0)), static_cast<int>(samples.shape(1)),
                 CV_MAKETYPE(depth, channels), const_cast<void*>(samples.data()));
}

/// Why an array is no picture, and what would be.
std::string why_no_picture(nb::handle array, const Array& samples) {
  const std::string is = fmt::format("is {} {}; ", type_of(array), shape_of(array));
  const auto dimensions = nb::cast<std::size_t>(array.attr("ndim"));
  const nb::object shape = array.attr("shape");
  const auto side = [&](int at) { return nb::cast<std::int64_t>(shape[at]); };
  if (dimensions == 4) return is + "give several pictures as a list";
  if (dimensions == 3 && side(0) == 3 && side(2) != 3) {
    return is + "channels come last: transpose(1, 2, 0), of a tensor permute(1, 2, 0)";
  }
  if (dimensions == 3 && side(2) == 4) return is + "leave alpha out: picture[:, :, :3]";
  if (dimensions == 3 && side(2) == 1)
    return is + "give a grey picture as [H, W]: picture[:, :, 0]";
  if (!samples.is_valid())
    return is + "give samples from 0 to 255 as uint8 (or of 16 bit as uint16)";
  return is + "give uint8 [H, W, 3] RGB or [H, W] grey";
}

}  // namespace

Picture picture_from(nb::handle given, const std::string& name, int bit_depth) {
  Picture picture;
  if (is_path(given)) {
    picture.file = nb::cast<std::filesystem::path>(given);
    if (picture.file.empty()) refuse(name, "is an empty path; name a file");
    return picture;
  }
  const nb::object array =
      is_pil(given) ? pixels_of_pil(nb::borrow(given), name) : as_array(given, name);
  const Array samples = samples_of(array, /*sixteen=*/true, /*boolean=*/false);
  const bool grey = samples.is_valid() && samples.ndim() == 2;
  if (!grey && !(samples.is_valid() && samples.ndim() == 3 && samples.shape(2) == 3)) {
    refuse(name, why_no_picture(array, samples));
  }
  check_sides(samples, name);
  cv::Mat pixels = header_of(samples, grey ? 1 : 3);
  if (pixels.depth() == CV_16U) {
    cv::Mat bytes;
    pixels.convertTo(bytes, CV_8U, 255.0 / ((1 << bit_depth) - 1));
    pixels = bytes;
  }
  if (grey) {
    cv::cvtColor(pixels, picture.image.rgb, cv::COLOR_GRAY2RGB);
  } else {
    picture.image.rgb = pixels;
  }
  picture.image.path = name;
  picture.owner = array;
  return picture;
}

cv::Mat GivenMask::read() const { return file.empty() ? marks : read_mask(file).marks; }

GivenMask mask_from(nb::handle given, const std::string& name) {
  GivenMask mask;
  if (is_path(given)) {
    mask.file = nb::cast<std::filesystem::path>(given);
    if (mask.file.empty()) refuse(name, "is an empty path; name a file");
    return mask;
  }
  nb::object array = nb::borrow(given);
  if (is_pil(given)) {
    const auto mode = nb::cast<std::string>(given.attr("mode"));
    if (mode != "1" && mode != "L") {
      refuse(name, fmt::format("is a PIL image of mode {}; convert it to L or 1", mode));
    }
    array = pixels_of_pil(array, name);
  }
  array = as_array(array, name);
  const Array samples = samples_of(array, /*sixteen=*/false, /*boolean=*/true);
  if (!samples.is_valid() || samples.ndim() != 2) {
    refuse(name, fmt::format("is {} {}; give bool or uint8 [H, W], above 0 where marked",
                             type_of(array), shape_of(array)));
  }
  check_sides(samples, name);
  mask.marks = header_of(samples, 1) != 0;
  return mask;
}

bool is_list(nb::handle given) {
  return nb::isinstance<nb::list>(given) || nb::isinstance<nb::tuple>(given);
}

}  // namespace nagl::python
