#include "nagl/image/annotation.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <memory>
#include <mutex>
#include <opencv2/imgcodecs.hpp>
#include <optional>
#include <vector>

#include "canvas.h"
#include "decoding.h"
#include "nagl/core/atomic_file.h"
#include "nagl/core/error.h"
#include "nagl/core/json.h"
#include "nagl/core/text.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLargestFile = std::size_t{1} << 28;
constexpr int kLargestSide = 1 << 16;
constexpr std::array kNoDefect = {"__ignore__", "_background_"};

/// `object[key]`, or null.
const Json& member(const Json& object, const char* key) {
  static const Json null;
  return object.is_object() && object.contains(key) ? object[key] : null;
}

std::string text(const Json& value) { return value.is_string() ? value.get<std::string>() : ""; }

/// Numbers that tools write as text are the same.
std::string id_text(const Json& value) { return value.is_string() ? text(value) : value.dump(); }

bool is_set(const Json& value) {
  return value.is_boolean() ? value.get<bool>() : value.is_number() && value.get<double>() != 0;
}

bool is_no_defect(const std::string& label) {
  return std::find(kNoDefect.begin(), kNoDefect.end(), label) != kNoDefect.end();
}

/// One shape of a file, for messages.
struct Place {
  const fs::path& file;
  std::string what;

  [[noreturn]] void fail(const std::string& why) const {
    fail_picture(file, fmt::format("holds {} {}", what, why));
  }
  double number(const Json& value) const {
    constexpr double kFarthest = 1e9;  // what is computed of them must stay finite
    if (!value.is_number() || std::abs(value.get<double>()) > kFarthest) {
      fail("with a coordinate that is no number, or none of a picture");
    }
    return value.get<double>();
  }
  std::vector<cv::Point2d> corners(std::vector<cv::Point2d> points) const {
    if (points.size() < 3) fail("that is a polygon of fewer than three corners");
    return points;
  }
};

/// The size that a file gives its picture, nothing where it gives none.
std::optional<cv::Size> size_of(const fs::path& file, const Json& width, const Json& height,
                                const Image& image) {
  if (!width.is_number() || !height.is_number()) return std::nullopt;
  const auto side = [&](const Json& value) {
    const double number = value.get<double>();
    if (!(number >= 1 && number <= kLargestSide)) {
      fail_picture(file, "gives its picture a width or height that no picture has");
    }
    return static_cast<int>(number);
  };
  const cv::Size size(side(width), side(height));
  if (static_cast<double>(size.width) * size.height >
      std::max<double>(static_cast<double>(DecodeOptions().max_pixels),
                       static_cast<double>(image.rgb.total()))) {
    fail_picture(file, "claims a picture larger than any that is read");
  }
  return size;
}

/// @throws DataError if nothing was drawn inside the picture
cv::Mat take(const fs::path& file, const Canvas& canvas, const std::string& what) {
  if (cv::countNonZero(canvas.mask()) == 0)
    fail_picture(file, fmt::format("marks nothing of {}", what));
  return canvas.mask();
}

/// The bytes of a text in base64; empty if it is none.
std::string from_base64(const std::string& encoded) {
  std::string bytes;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : encoded) {
    int value = -1;
    if (c >= 'A' && c <= 'Z') value = c - 'A';
    if (c >= 'a' && c <= 'z') value = c - 'a' + 26;
    if (c >= '0' && c <= '9') value = c - '0' + 52;
    if (c == '+') value = 62;
    if (c == '/') value = 63;
    if (c == '=') break;
    if (value < 0) {
      if (std::isspace(static_cast<unsigned char>(c)) != 0) continue;
      return "";
    }
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes += static_cast<char>(bits >> count & 0xFF);
  }
  return bytes;
}

// LabelMe

void stamp_labelme_mask(const Place& place, const std::vector<cv::Point2d>& box,
                        const std::string& encoded, Canvas& canvas) {
  const std::string bytes = from_base64(encoded);
  cv::Mat mask;
  if (!bytes.empty() && read_header(bytes).width <= kLargestSide) {
    const cv::Mat buffer(1, static_cast<int>(bytes.size()), CV_8U, const_cast<char*>(bytes.data()));
    mask = cv::imdecode(buffer, cv::IMREAD_GRAYSCALE);
  }
  if (mask.empty() || box.empty()) place.fail("of the kind 'mask' without a picture in it");
  const double left = std::min(box.front().x, box.back().x);
  const double top = std::min(box.front().y, box.back().y);
  const auto whole = [](double value) {
    return static_cast<int>(
        std::lround(std::clamp(value, -1.0 * kLargestSide, 1.0 * kLargestSide)));
  };
  canvas.stamp(mask, {whole(left), whole(top)});
}

void draw_labelme(const Place& place, const Json& shape, Canvas& canvas) {
  std::vector<cv::Point2d> points;
  for (const auto& point : member(shape, "points")) {
    if (!point.is_array() || point.size() < 2) place.fail("whose points are no pairs");
    points.emplace_back(place.number(point[0]), place.number(point[1]));
  }
  const std::string type = text(member(shape, "shape_type"));
  const bool pair = points.size() == 2;
  if (type == "rectangle" && pair) {
    canvas.box(points[0], points[1]);
  } else if (type == "polygon" || type.empty() || type == "rectangle" || type == "rotation") {
    canvas.polygon(place.corners(points));
  } else if (type == "circle" && pair) {
    canvas.circle(points[0], points[1]);
  } else if ((type == "line" || type == "linestrip") && points.size() > 1) {
    canvas.line(points);
  } else if (type == "point" || type == "points") {
    for (const auto& point : points) canvas.point(point);
  } else if (type == "mask") {
    stamp_labelme_mask(place, points, text(member(shape, "mask")), canvas);
  } else {
    place.fail(
        fmt::format("of the kind '{}', which cannot be drawn; mark the defect with polygons "
                    "or rectangles",
                    type));
  }
}

cv::Mat read_labelme(const fs::path& file, const Json& content, const Image& image) {
  auto size = size_of(file, member(content, "imageWidth"), member(content, "imageHeight"), image);
  if (!size) {
    const PictureHeader header = read_header(from_base64(text(member(content, "imageData"))));
    if (header.width > 0) {
      size = size_of(file, header.width, header.height, image);
    } else if (!image.rgb.empty()) {
      size = image.rgb.size();
    } else {
      fail_picture(file, "does not say how large its picture is (width and height in pixels)");
    }
  }
  Canvas canvas(*size);
  int count = 0, left_out = 0;
  for (const auto& shape : member(content, "shapes")) {
    const std::string label = text(member(shape, "label"));
    ++count;
    if (is_no_defect(label)) {
      ++left_out;
      continue;
    }
    draw_labelme({file, fmt::format("a shape ({}, '{}')", count, label)}, shape, canvas);
  }
  return take(file, canvas,
              left_out == 0 ? "its picture" : "its picture but shapes labelled as no defect");
}

// COCO

/// Run lengths, of unmarked and marked pixels in turns, column after column.
cv::Mat from_runs(const Place& place, cv::Size size, const std::vector<std::int64_t>& runs) {
  cv::Mat turned = cv::Mat::zeros(size.width, size.height, CV_8U);  // its rows are the columns
  std::int64_t at = 0;
  const auto total = static_cast<std::int64_t>(turned.total());
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (runs[i] < 0 || runs[i] > total - at) place.fail("whose run lengths do not fit its picture");
    if (i % 2 == 1) std::fill_n(turned.data + at, runs[i], std::uint8_t{255});
    at += runs[i];
  }
  if (at != total) place.fail("whose run lengths do not fit its picture");
  return turned.t();
}

/// The compact text of COCO's tools: five bits a character from '0' on, the lowest first, the sixth
/// says that there are more; from the third run on, differences to the one before the last.
std::vector<std::int64_t> decode_runs(const Place& place, const std::string& encoded) {
  std::vector<std::int64_t> runs;
  for (std::size_t at = 0; at < encoded.size();) {
    std::int64_t value = 0;
    int shift = 0;
    bool more = true;
    while (more) {
      const int bits = at < encoded.size() ? encoded[at++] - '0' : -1;
      if (bits < 0 || bits > 63 || shift > 30) place.fail("whose run lengths are damaged");
      value |= static_cast<std::int64_t>(bits & 31) << shift;
      shift += 5;
      more = (bits & 32) != 0;
      if (!more && (bits & 16) != 0) value |= -(std::int64_t{1} << shift);
    }
    if (runs.size() > 2) value += runs[runs.size() - 2];
    runs.push_back(value);
  }
  return runs;
}

void draw_runs(const Place& place, const Json& segmentation, Canvas& canvas) {
  const Json &counts = member(segmentation, "counts"), &size = member(segmentation, "size");
  const bool fits = size.is_array() && size.size() == 2 && size[0] == canvas.size().height &&
                    size[1] == canvas.size().width;
  if (!fits) place.fail("whose run-length mask has another size than its picture");
  std::vector<std::int64_t> runs;
  if (counts.is_string()) {
    runs = decode_runs(place, text(counts));
  } else {
    for (const auto& run : counts) {
      const double length = place.number(run);
      runs.push_back(static_cast<std::int64_t>(length));
    }
  }
  canvas.stamp(from_runs(place, canvas.size(), runs), {0, 0});
}

void draw_flat_polygon(const Place& place, const Json& flat, Canvas& canvas) {
  if (!flat.is_array() || flat.size() % 2 != 0)
    place.fail("with a polygon that is no list of x, y");
  std::vector<cv::Point2d> corners;
  for (std::size_t i = 0; i < flat.size(); i += 2) {
    corners.emplace_back(place.number(flat[i]), place.number(flat[i + 1]));
  }
  canvas.polygon(place.corners(corners));
}

void draw_coco(const Place& place, const Json& annotation, Canvas& canvas) {
  const Json& segmentation = member(annotation, "segmentation");
  if (segmentation.is_object()) return draw_runs(place, segmentation, canvas);
  if (segmentation.is_array() && !segmentation.empty()) {
    if (segmentation.front().is_number()) return draw_flat_polygon(place, segmentation, canvas);
    for (const auto& flat : segmentation) draw_flat_polygon(place, flat, canvas);
    return;
  }
  const Json& box = member(annotation, "bbox");
  if (!box.is_array() || box.size() != 4) place.fail("with neither polygons nor a box");
  const double x = place.number(box[0]), y = place.number(box[1]);
  canvas.box({x, y}, {x + place.number(box[2]), y + place.number(box[3])});
}

/// A file name as COCO files have it, with slashes.
fs::path listed_name(const Json& image) {
  std::string name = text(member(image, "file_name"));
  std::replace(name.begin(), name.end(), '\\', '/');
  return name;
}

/// How many names two paths have in common, from the end.
std::ptrdiff_t common_end(const fs::path& a, const fs::path& b) {
  const std::vector<fs::path> one(a.begin(), a.end()), other(b.begin(), b.end());
  return std::mismatch(one.rbegin(), one.rend(), other.rbegin(), other.rend()).first - one.rbegin();
}

/// Whether `listed` is `name` behind eight hexadecimal digits and a dash, as uploading to some
/// labelling tools leaves it.
bool is_uploaded(const std::string& listed, const std::string& name) {
  constexpr std::size_t kDigits = 8;
  return listed.size() == kDigits + 1 + name.size() && listed[kDigits] == '-' &&
         listed.ends_with(name) &&
         std::all_of(listed.begin(), listed.begin() + kDigits,
                     [](unsigned char c) { return std::isxdigit(c) != 0; });
}

/// Whether a picture of the same name is there in the folder that the entry names, beside the own
/// one.
bool is_of_another(const fs::path& listed, const fs::path& picture) {
  const fs::path folder = listed.parent_path().filename(), own = picture.parent_path();
  if (folder.empty() || own.empty() || folder == own.filename()) return false;
  std::error_code error;
  return fs::exists(own.parent_path() / folder / picture.filename(), error);
}

/// The entry of a picture. The name in the file may hold folders: of several pictures of one name
/// they tell which it is.
const Json& find_image(const fs::path& file, const Json& content, const fs::path& picture) {
  const std::string name = picture.filename().string();
  const Json *entry = nullptr, *uploaded = nullptr;
  std::ptrdiff_t agreement = 0;
  bool twice = false, uploaded_twice = false;
  for (const auto& image : member(content, "images")) {
    const fs::path listed = listed_name(image);
    if (is_uploaded(listed.filename().string(), name)) {
      uploaded_twice = uploaded != nullptr;
      uploaded = &image;
    }
    const std::ptrdiff_t agrees = common_end(listed, picture);
    if (agrees == 0 || agrees < agreement || (agrees == 1 && is_of_another(listed, picture)))
      continue;
    twice = entry != nullptr && agrees == agreement;
    entry = &image;
    agreement = agrees;
  }
  if (entry == nullptr) {
    entry = uploaded;
    twice = uploaded_twice;
  }
  if (twice) fail_picture(file, fmt::format("lists '{}' twice; keep one of them", name));
  if (entry == nullptr) fail_picture(file, fmt::format("does not list '{}'", name));
  return *entry;
}

cv::Mat read_coco(const fs::path& file, const Json& content, const Image& image) {
  const fs::path& picture = image.path;
  const Json& entry = find_image(file, content, picture);
  const auto size = size_of(file, member(entry, "width"), member(entry, "height"), image);
  if (!size)
    fail_picture(file, "does not say how large its pictures are (width and height in pixels)");
  std::vector<std::string> no_defect;  // categories
  for (const auto& category : member(content, "categories")) {
    if (is_no_defect(text(member(category, "name")))) {
      no_defect.push_back(id_text(member(category, "id")));
    }
  }
  Canvas canvas(*size);
  const std::string id = id_text(member(entry, "id"));
  int count = 0, left_out = 0;
  for (const auto& annotation : member(content, "annotations")) {
    ++count;
    if (id_text(member(annotation, "image_id")) != id) continue;
    const bool ignored = is_set(member(annotation, "ignore")) ||
                         is_set(member(annotation, "iscrowd")) ||
                         std::find(no_defect.begin(), no_defect.end(),
                                   id_text(member(annotation, "category_id"))) != no_defect.end();
    if (ignored) {
      ++left_out;
      continue;
    }
    draw_coco({file, fmt::format("an annotation ({})", count)}, annotation, canvas);
  }
  const std::string name = fmt::format("'{}'", picture.filename().string());
  return take(
      file, canvas,
      left_out == 0 ? name : name + " but what it says to ignore (ignore, iscrowd, __ignore__)");
}

/// The content of a file. The last one is kept: a COCO file is asked for each of its pictures.
std::shared_ptr<const Json> parsed_file(const fs::path& path) {
  struct Kept {
    fs::path path;
    std::uintmax_t size = 0;
    fs::file_time_type time;
    std::shared_ptr<const Json> content;
  };
  static std::mutex mutex;
  static Kept last;
  std::error_code error;
  const auto size = fs::file_size(path, error);
  const auto time = fs::last_write_time(path, error);
  const fs::path absolute = fs::absolute(path, error);
  const std::lock_guard lock(mutex);
  if (last.content && last.path == absolute && last.size == size && last.time == time) {
    return last.content;
  }
  try {
    last = {absolute, size, time,
            std::make_shared<const Json>(parse_json(read_file(path, kLargestFile)))};
  } catch (const Json::exception& fault) {
    fail_picture(path, fmt::format("is not valid JSON: {}", fault.what()));
  }
  return last.content;
}

/// What some files of other labelling tools are, and how to get one that can be read.
std::string other_format(const Json& content) {
  const Json& first = content.is_array() && !content.empty() ? content.front() : content;
  if (first.is_object() && (first.contains("annotations") || first.contains("completions")) &&
      first.contains("data")) {
    return "is Label Studio's own JSON; export as COCO there";
  }
  if (content.is_object() && content.contains("_via_img_metadata")) {
    return "is a VIA project; export its annotations as COCO there";
  }
  if (content.is_object() && !content.empty() && content.front().is_object() &&
      content.front().contains("regions") && content.front().contains("filename")) {
    return "holds VIA annotations; export them as COCO there";
  }
  return "is neither a LabelMe file (shapes) nor a COCO file (images, annotations)";
}

}  // namespace

bool is_annotation(const fs::path& path) {
  return lower_case(path.extension().string()) == ".json";
}

cv::Mat read_annotation(const fs::path& path, const Image& image) {
  const auto parsed = parsed_file(path);
  const Json& content = *parsed;
  if (member(content, "shapes").is_array()) return read_labelme(path, content, image);
  if (member(content, "images").is_array() && member(content, "annotations").is_array()) {
    return read_coco(path, content, image);
  }
  fail_picture(path, other_format(content));
}

}  // namespace nagl
