#include "nagl/image/annotation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <opencv2/imgproc.hpp>
#include <vector>

#include "nagl/core/atomic_file.h"
#include "nagl/core/error.h"
#include "nagl/core/json.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLargestFile = std::size_t{1} << 28;
constexpr int kLargestSide = 1 << 16;
constexpr double kLargestArea = 1 << 30;
constexpr int kSubpixelBits = 4;  // OpenCV draws at sixteenths of a pixel

[[noreturn]] void fail(const fs::path& path, const std::string& why) {
  throw DataError(fmt::format("'{}' {}", path.string(), why));
}

/// Draws onto a mask of one picture.
class Canvas {
 public:
  Canvas(const fs::path& file, const Json& width, const Json& height) : file_(file) {
    const int rows = side(height), columns = side(width);
    if (static_cast<double>(rows) * columns > kLargestArea) {
      fail(file_, "claims a picture larger than any that can be read");
    }
    mask_ = cv::Mat::zeros(rows, columns, CV_8U);
  }

  void polygon(const std::vector<cv::Point2d>& corners) {
    if (corners.size() < 3) fail(file_, "holds a polygon of fewer than three corners");
    cv::fillPoly(mask_, std::vector{scaled(corners)}, kInside, cv::LINE_8, kSubpixelBits);
  }
  void box(cv::Point2d a, cv::Point2d b) { polygon({a, {b.x, a.y}, b, {a.x, b.y}}); }
  void circle(cv::Point2d centre, cv::Point2d edge) {
    const double radius =
        std::min<double>(std::hypot(edge.x - centre.x, edge.y - centre.y), kLargestSide);
    cv::circle(mask_, scaled({centre}).front(), static_cast<int>(std::lround(radius * kOne)),
               kInside, cv::FILLED, cv::LINE_8, kSubpixelBits);
  }
  void points(const std::vector<cv::Point2d>& places) {
    for (const auto& place : places) line({place, place});
  }
  void line(const std::vector<cv::Point2d>& points) {
    cv::polylines(mask_, std::vector{scaled(points)}, false, kInside, 1, cv::LINE_8, kSubpixelBits);
  }

  /// @throws DataError if nothing was drawn inside the picture
  cv::Mat take(const std::string& what) {
    if (cv::countNonZero(mask_) == 0) fail(file_, fmt::format("marks nothing of {}", what));
    return mask_;
  }

 private:
  static constexpr double kOne = 1 << kSubpixelBits;
  inline static const cv::Scalar kInside = cv::Scalar(255);

  int side(const Json& value) const {
    const double number = value.is_number() ? value.get<double>() : 0;
    if (!(number >= 1 && number <= kLargestSide)) {
      fail(file_, "does not say how large its picture is (width and height in pixels)");
    }
    return static_cast<int>(number);
  }
  std::vector<cv::Point> scaled(const std::vector<cv::Point2d>& points) const {
    std::vector<cv::Point> result;
    for (const auto& point : points) {
      const auto fixed = [&](double value) {
        return static_cast<int>(
            std::lround(std::clamp(value, -1.0 * kLargestSide, 1.0 * kLargestSide) * kOne));
      };
      result.emplace_back(fixed(point.x), fixed(point.y));
    }
    return result;
  }

  const fs::path& file_;
  cv::Mat mask_;
};

/// `object[key]`, or null.
const Json& member(const Json& object, const char* key) {
  static const Json null;
  return object.is_object() && object.contains(key) ? object[key] : null;
}

double number(const fs::path& file, const Json& value) {
  if (!value.is_number()) fail(file, "holds a coordinate that is no number");
  return value.get<double>();
}

std::string text(const Json& value) { return value.is_string() ? value.get<std::string>() : ""; }

void draw_labelme(const fs::path& file, const Json& shape, Canvas& canvas) {
  std::vector<cv::Point2d> points;
  for (const auto& point : member(shape, "points")) {
    if (!point.is_array() || point.size() < 2)
      fail(file, "holds a shape whose points are no pairs");
    points.emplace_back(number(file, point[0]), number(file, point[1]));
  }
  const std::string type = text(member(shape, "shape_type"));
  const bool pair = points.size() == 2;
  if (type == "polygon" || type.empty()) {
    canvas.polygon(points);
  } else if (type == "rectangle" && pair) {
    canvas.box(points[0], points[1]);
  } else if (type == "circle" && pair) {
    canvas.circle(points[0], points[1]);
  } else if ((type == "line" || type == "linestrip") && points.size() > 1) {
    canvas.line(points);
  } else if (type == "point" || type == "points") {
    canvas.points(points);
  } else {
    fail(file, fmt::format("holds a shape of the kind '{}', which cannot be drawn; mark the defect "
                           "with polygons or rectangles",
                           type));
  }
}

void draw_coco(const fs::path& file, const Json& annotation, Canvas& canvas) {
  const Json& segmentation = member(annotation, "segmentation");
  if (segmentation.is_object()) {
    fail(file, "holds a run-length mask; export it with polygons, or give mask pictures");
  }
  if (segmentation.is_array() && !segmentation.empty()) {
    for (const auto& flat : segmentation) {
      if (!flat.is_array() || flat.size() % 2 != 0) {
        fail(file, "holds a polygon that is no list of x, y");
      }
      std::vector<cv::Point2d> corners;
      for (std::size_t i = 0; i < flat.size(); i += 2) {
        corners.emplace_back(number(file, flat[i]), number(file, flat[i + 1]));
      }
      canvas.polygon(corners);
    }
    return;
  }
  const Json& box = member(annotation, "bbox");
  if (!box.is_array() || box.size() != 4) {
    fail(file, "holds an annotation with neither polygons nor a box");
  }
  const double x = number(file, box[0]), y = number(file, box[1]);
  canvas.box({x, y}, {x + number(file, box[2]), y + number(file, box[3])});
}

cv::Mat read_labelme(const fs::path& file, const Json& content) {
  Canvas canvas(file, member(content, "imageWidth"), member(content, "imageHeight"));
  for (const auto& shape : member(content, "shapes")) draw_labelme(file, shape, canvas);
  return canvas.take("its picture");
}

/// How many names two paths have in common, from the end.
std::ptrdiff_t common_end(const fs::path& a, const fs::path& b) {
  const std::vector<fs::path> one(a.begin(), a.end()), other(b.begin(), b.end());
  return std::mismatch(one.rbegin(), one.rend(), other.rbegin(), other.rend()).first - one.rbegin();
}

cv::Mat read_coco(const fs::path& file, const Json& content, const fs::path& picture) {
  // The name in the file may hold folders: of several pictures of one name they tell which it is.
  const Json* entry = nullptr;
  std::ptrdiff_t agreement = 0;
  bool twice = false;
  for (const auto& image : member(content, "images")) {
    const std::ptrdiff_t agrees = common_end(text(member(image, "file_name")), picture);
    if (agrees == 0 || agrees < agreement) continue;
    twice = entry != nullptr && agrees == agreement;
    entry = &image;
    agreement = agrees;
  }
  if (twice) {
    fail(file, fmt::format("lists '{}' twice; keep one of them", picture.filename().string()));
  }
  if (entry == nullptr) {
    fail(file, fmt::format("does not list '{}'", picture.filename().string()));
  }
  Canvas canvas(file, member(*entry, "width"), member(*entry, "height"));
  const Json& id = member(*entry, "id");
  for (const auto& annotation : member(content, "annotations")) {
    if (member(annotation, "image_id") == id) draw_coco(file, annotation, canvas);
  }
  return canvas.take(fmt::format("'{}'", picture.filename().string()));
}

}  // namespace

bool is_annotation(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension == ".json";
}

cv::Mat read_annotation(const fs::path& path, const fs::path& picture) {
  Json content;
  try {
    content = Json::parse(read_file(path, kLargestFile));
  } catch (const Json::exception&) {
    fail(path, "is not valid JSON");
  }
  if (member(content, "shapes").is_array()) return read_labelme(path, content);
  if (member(content, "images").is_array() && member(content, "annotations").is_array()) {
    return read_coco(path, content, picture);
  }
  fail(path, "is neither a LabelMe file (shapes) nor a COCO file (images, annotations)");
}

}  // namespace nagl
