#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <numbers>
#include <opencv2/core.hpp>
#include <string>
#include <vector>

#include "nagl/core/random.h"

/// What the synthetic pictures are drawn with. A picture of any size shows 512 x 512 units.
namespace nagl::synthetic {

using Point = cv::Point2f;
using Colour = cv::Vec3f;  // blue, green, red, each 0 to 1

constexpr float kPi = std::numbers::pi_v<float>;
constexpr float kExtent = 512.0F;
inline const Point kCentre(kExtent / 2, kExtent / 2);

inline Colour rgb(unsigned hex) {
  return Colour(static_cast<float>(hex & 255), static_cast<float>(hex >> 8 & 255),
                static_cast<float>(hex >> 16 & 255)) /
         255.0F;
}

template <typename T>
T mix(const T& a, const T& b, float t) {
  return a + (b - a) * t;
}

inline float ramp(float low, float high, float x) {
  const float t = std::clamp((x - low) / (high - low), 0.0F, 1.0F);
  return t * t * (3.0F - 2.0F * t);
}

inline int floor_int(float x) {
  const int whole = static_cast<int>(x);
  return whole - (x < static_cast<float>(whole) ? 1 : 0);
}

inline Point rotate(Point p, float angle) {
  const float c = std::cos(angle);
  const float s = std::sin(angle);
  return {c * p.x - s * p.y, s * p.x + c * p.y};
}

inline float draw(Random& random, float low, float high) {
  return static_cast<float>(random.uniform(low, high));
}

inline Point draw_point(Random& random, float low, float high) {
  const float x = draw(random, low, high);
  return {x, draw(random, low, high)};
}

/// Smooth random values on the plane, -1 to 1, from a table of random numbers.
class Noise {
 public:
  explicit Noise(Random& random);

  float at(int x, int y) const {
    return values_[static_cast<std::size_t>((y & (kSide - 1)) * kSide + (x & (kSide - 1)))];
  }

  float operator()(float x, float y) const {
    const int ix = floor_int(x);
    const int iy = floor_int(y);
    const float tx = ramp(0.0F, 1.0F, x - static_cast<float>(ix));
    const float ty = ramp(0.0F, 1.0F, y - static_cast<float>(iy));
    return mix(mix(at(ix, iy), at(ix + 1, iy), tx), mix(at(ix, iy + 1), at(ix + 1, iy + 1), tx),
               ty);
  }

  /// The sum of `octaves` noises, each finer and weaker than the one before.
  float fractal(float x, float y, int octaves) const;

 private:
  static constexpr int kSide = 256;
  std::vector<float> values_;
};

/// A region: the signed distance to its edge (negative inside) and a box around it, in units.
struct Shape {
  cv::Rect2f box;
  std::function<float(Point)> distance;
};

/// Rounded rectangle; with the right corner radius also a capsule or a disc.
Shape plate(Point centre, Point half, float corner, float angle = 0.0F);

Shape disc(Point centre, float radius);

/// Line through `points`, `half` wide on each side, thinner towards its ends by `taper` (0 to 1).
Shape stroke(const std::vector<Point>& points, float half, float taper = 0.0F);

/// Irregular spot. `noise` must outlive it.
Shape blob(Point centre, float radius, float roughness, const Noise& noise);

/// The part of `shape` on the side of `edge` that `normal` (of length 1) points away from.
Shape cut(const Shape& shape, Point edge, Point normal);

/// A picture in the making, seen by a camera that is a little rotated and shifted.
class Canvas {
 public:
  Canvas(int size, float angle, Point shift)
      : colour(size, size, Colour::all(0.0F)),
        mask(size, size, static_cast<std::uint8_t>(0)),
        unit(kExtent / static_cast<float>(size)),
        angle_(angle),
        shift_(shift) {}

  /// Calls `visit(point, y, x)` for each pixel of the picture in `box`.
  template <typename Visit>
  void each(const cv::Rect2f& box, const Visit& visit) {
    const cv::Rect pixels = to_pixels(box);
    const Point right = rotate({unit, 0.0F}, -angle_);
    const auto rows = [&](const cv::Range& range) {
      for (int y = range.start; y < range.end; ++y) {
        const Point start = to_point(static_cast<float>(pixels.x), static_cast<float>(y));
        for (int i = 0; i < pixels.width; ++i) {
          visit(start + static_cast<float>(i) * right, y, pixels.x + i);
        }
      }
    };
    cv::parallel_for_({pixels.y, pixels.br().y}, rows, pixels.area() / 32768.0);
  }

  template <typename Visit>
  void each(const Visit& visit) {
    each({-kExtent, -kExtent, 3 * kExtent, 3 * kExtent}, visit);
  }

  /// The share of a pixel that a shape covers whose edge is `distance` away.
  float cover(float distance) const { return std::clamp(0.5F - distance / unit, 0.0F, 1.0F); }

  cv::Mat_<Colour> colour;
  cv::Mat1b mask;    ///< the defect
  const float unit;  ///< units a pixel

 private:
  Point to_point(float x, float y) const {
    const Point seen((x + 0.5F) * unit, (y + 0.5F) * unit);
    return rotate(seen - kCentre - shift_, -angle_) + kCentre;
  }

  cv::Rect to_pixels(const cv::Rect2f& box) const;

  float angle_;
  Point shift_;
};

/// `ink(point, depth, under)` is the colour `depth` units inside the edge, over the colour `under`.
template <typename Ink>
void fill(Canvas& canvas, const Shape& shape, const Ink& ink) {
  canvas.each(shape.box, [&](Point p, int y, int x) {
    const float distance = shape.distance(p);
    Colour& under = canvas.colour(y, x);
    const float cover = canvas.cover(distance);
    if (cover > 0.0F) under = mix(under, ink(p, -distance, under), cover);
  });
}

void fill(Canvas& canvas, const Shape& shape, const Colour& colour);

/// Adds `shape` to the mask of the defect.
void mark(Canvas& canvas, const Shape& shape);

/// Darkens what is below a `shape` raised by `height`.
void shadow(Canvas& canvas, const Shape& shape, float height, float strength);

/// Lights an edge `width` units wide from the upper left; a negative strength makes a hollow.
void bevel(Canvas& canvas, const Shape& shape, float width, float strength);

/// How a piece stands out: its edge as in `bevel`, and its shadow.
struct Relief {
  float width;
  float strength;
  float height = 0.0F;
  float shadow = 0.55F;
};

/// Paints a piece with its edge and shadow; `ink` is a colour or as in `fill`.
template <typename Ink>
void block(Canvas& canvas, const Shape& shape, const Relief& relief, const Ink& ink) {
  if (relief.height > 0.0F) shadow(canvas, shape, relief.height, relief.shadow);
  fill(canvas, shape, ink);
  bevel(canvas, shape, relief.width, relief.strength);
}

void draw_text(Canvas& canvas, const std::string& text, Point centre, float height,
               const Colour& colour, float angle = 0.0F);

}  // namespace nagl::synthetic
