#include "nagl/dataset/synthetic.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <limits>
#include <numbers>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <system_error>

#include "nagl/core/error.h"
#include "nagl/core/random.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

using Point = cv::Point2f;
using Colour = cv::Vec3f;  // blue, green, red, each 0 to 1

constexpr float kPi = std::numbers::pi_v<float>;
constexpr float kExtent = 512.0F;  // a picture of any size shows 512 x 512 units
const Point kCentre(kExtent / 2, kExtent / 2);

// ---------------------------------------------------------------- numbers, colours, noise

Colour rgb(unsigned hex) {
  return Colour(static_cast<float>(hex & 255), static_cast<float>(hex >> 8 & 255),
                static_cast<float>(hex >> 16 & 255)) /
         255.0F;
}

template <typename T>
T mix(const T& a, const T& b, float t) {
  return a + (b - a) * t;
}

float ramp(float low, float high, float x) {
  const float t = std::clamp((x - low) / (high - low), 0.0F, 1.0F);
  return t * t * (3.0F - 2.0F * t);
}

int floor_int(float x) {
  const int whole = static_cast<int>(x);
  return whole - (x < static_cast<float>(whole) ? 1 : 0);
}

Point rotate(Point p, float angle) {
  const float c = std::cos(angle);
  const float s = std::sin(angle);
  return {c * p.x - s * p.y, s * p.x + c * p.y};
}

float draw(Random& random, float low, float high) {
  return static_cast<float>(random.uniform(low, high));
}

Point draw_point(Random& random, float low, float high) {
  const float x = draw(random, low, high);
  return {x, draw(random, low, high)};
}

/// Smooth random values on the plane, -1 to 1, from a table of random numbers.
class Noise {
 public:
  explicit Noise(Random& random) : values_(kSide * kSide) {
    for (float& value : values_) value = draw(random, -1.0F, 1.0F);
  }

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

  float fractal(float x, float y, int octaves) const {
    float sum = 0.0F;
    float weight = 0.5F;
    for (int i = 0; i < octaves; ++i, weight *= 0.5F) {
      sum += weight * (*this)(x, y);
      x = 2.03F * x + 17.3F;
      y = 2.03F * y + 41.7F;
    }
    return sum;
  }

 private:
  static constexpr int kSide = 256;
  std::vector<float> values_;
};

// ---------------------------------------------------------------- shapes and canvas

/// A region: the signed distance to its edge (negative inside) and a box around it, in units.
struct Shape {
  cv::Rect2f box;
  std::function<float(Point)> distance;
};

cv::Rect2f around(Point centre, float reach) {
  return {centre.x - reach, centre.y - reach, 2.0F * reach, 2.0F * reach};
}

/// Rounded rectangle; with the right corner radius also a capsule or a disc.
Shape plate(Point centre, Point half, float corner, float angle = 0.0F) {
  const Point inner(half.x - corner, half.y - corner);
  const float c = std::cos(angle);
  const float s = std::sin(angle);
  return {around(centre, std::hypot(half.x, half.y)), [=](Point p) {
            p -= centre;
            const float x = std::abs(c * p.x + s * p.y) - inner.x;
            const float y = std::abs(c * p.y - s * p.x) - inner.y;
            const float dx = std::max(x, 0.0F);
            const float dy = std::max(y, 0.0F);
            return std::sqrt(dx * dx + dy * dy) + std::min(std::max(x, y), 0.0F) - corner;
          }};
}

Shape disc(Point centre, float radius) { return plate(centre, {radius, radius}, radius); }

/// Line through `points`, `half` wide on each side, thinner towards its ends by `taper` (0 to 1).
Shape stroke(const std::vector<Point>& points, float half, float taper = 0.0F) {
  const cv::Rect2f tight = cv::boundingRect(points);
  const cv::Rect2f box(tight.x - half, tight.y - half, tight.width + 2 * half,
                       tight.height + 2 * half);
  return {box, [=](Point p) {
            float nearest = std::numeric_limits<float>::max();
            float along = 0.0F;
            for (std::size_t i = 0; i + 1 < points.size(); ++i) {
              const Point step = points[i + 1] - points[i];
              const Point from = p - points[i];
              const float t = std::clamp(from.dot(step) / step.dot(step), 0.0F, 1.0F);
              const Point gap = from - t * step;
              if (gap.dot(gap) >= nearest) continue;
              nearest = gap.dot(gap);
              along = (static_cast<float>(i) + t) / static_cast<float>(points.size() - 1);
            }
            const float ends = ramp(0.0F, 0.2F, std::min(along, 1.0F - along));
            return std::sqrt(nearest) - half * (1.0F - taper * (1.0F - ends));
          }};
}

/// Irregular spot. `noise` must outlive it.
Shape blob(Point centre, float radius, float roughness, const Noise& noise) {
  return {around(centre, radius * (1.0F + roughness)), [=, &noise](Point p) {
            const Point q = p - centre;
            const float wave = noise.fractal(1.4F * q.x / radius, 1.4F * q.y / radius, 3);
            return std::sqrt(q.x * q.x + 0.7F * q.y * q.y) - radius * (1.0F + roughness * wave);
          }};
}

/// The part of `shape` on the side of `edge` that `normal` (of length 1) points away from.
Shape cut(const Shape& shape, Point edge, Point normal) {
  return {shape.box, [=](Point p) { return std::max(shape.distance(p), normal.dot(p - edge)); }};
}

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
    if (pixels.empty()) return;
    cv::parallel_for_({pixels.y, pixels.br().y}, rows, pixels.area() / 32768.0);
  }

  template <typename Visit>
  void each(const Visit& visit) {
    each({-kExtent, -kExtent, 3 * kExtent, 3 * kExtent}, visit);
  }

  cv::Mat_<Colour> colour;
  cv::Mat1b mask;    ///< the defect
  const float unit;  ///< units a pixel

 private:
  Point to_point(float x, float y) const {
    const Point seen((x + 0.5F) * unit, (y + 0.5F) * unit);
    return rotate(seen - kCentre - shift_, -angle_) + kCentre;
  }

  cv::Rect to_pixels(const cv::Rect2f& box) const {
    std::vector<Point> corners;
    for (const Point& corner :
         {box.tl(), box.br(), Point(box.x, box.br().y), Point(box.br().x, box.y)}) {
      corners.push_back((rotate(corner - kCentre, angle_) + kCentre + shift_) / unit);
    }
    const cv::Rect tight = cv::boundingRect(corners);
    const cv::Rect wide(tight.x - 2, tight.y - 2, tight.width + 4, tight.height + 4);
    return wide & cv::Rect(0, 0, colour.cols, colour.rows);
  }

  float angle_;
  Point shift_;
};

// ---------------------------------------------------------------- painting

/// `ink(point, depth, under)` is the colour `depth` units inside the edge, over the colour `under`.
template <typename Ink>
void fill(Canvas& canvas, const Shape& shape, const Ink& ink) {
  canvas.each(shape.box, [&](Point p, int y, int x) {
    const float distance = shape.distance(p);
    const float cover = std::min(0.5F - distance / canvas.unit, 1.0F);
    if (cover <= 0.0F) return;
    Colour& under = canvas.colour(y, x);
    under = mix(under, Colour(ink(p, -distance, under)), cover);
  });
}

void fill(Canvas& canvas, const Shape& shape, const Colour& colour) {
  fill(canvas, shape, [&](Point, float, const Colour&) { return colour; });
}

void mark(Canvas& canvas, const Shape& shape) {
  canvas.each(shape.box, [&](Point p, int y, int x) {
    if (shape.distance(p) <= 0.0F) canvas.mask(y, x) = 255;
  });
}

void shadow(Canvas& canvas, const Shape& shape, float height, float strength) {
  const Point offset(0.5F * height, 0.7F * height);
  cv::Rect2f box = shape.box + offset;
  box = {box.x - height, box.y - height, box.width + 2 * height, box.height + 2 * height};
  canvas.each(box, [&](Point p, int y, int x) {
    const float distance = shape.distance(p - offset);
    canvas.colour(y, x) *= 1.0F - strength * ramp(height, -height, distance);
  });
}

/// Lights an edge `width` units wide from the upper left; a negative strength makes a hollow.
void bevel(Canvas& canvas, const Shape& shape, float width, float strength) {
  canvas.each(shape.box, [&](Point p, int y, int x) {
    const float distance = shape.distance(p);
    const float cover = std::min(0.5F - distance / canvas.unit, 1.0F);
    if (cover <= 0.0F || distance <= -width) return;
    const float left = shape.distance(p - Point(0.5F, 0.0F));
    const float above = shape.distance(p - Point(0.0F, 0.5F));
    const float lit = 1.2F * (left - distance) + 1.6F * (above - distance);
    const float fade = 1.0F + std::min(distance, 0.0F) / width;
    canvas.colour(y, x) += Colour::all(strength * fade * cover * lit);
  });
}

/// A piece of one colour with a lit edge, raised by `height`; a negative strength makes a hollow.
void block(Canvas& canvas, const Shape& shape, const Colour& colour, float edge, float strength,
           float height = 0.0F) {
  if (height > 0.0F) shadow(canvas, shape, height, 0.55F);
  fill(canvas, shape, colour);
  bevel(canvas, shape, edge, strength);
}

/// Lights a relief of the picture's size from the upper left.
void emboss(Canvas& canvas, const cv::Mat1f& relief, float strength) {
  const int last = relief.rows - 1;
  canvas.each([&](Point, int y, int x) {
    const float before = relief(std::max(y - 1, 0), std::max(x - 1, 0));
    const float after = relief(std::min(y + 1, last), std::min(x + 1, last));
    canvas.colour(y, x) *= 1.0F + strength * (after - before) / canvas.unit;
  });
}

void draw_text(Canvas& canvas, const std::string& text, Point centre, float height, float angle,
               const Colour& colour) {
  constexpr float kDots = 3.0F;  // a unit
  const double scale = kDots * height / 21.0;
  const int thickness = std::max(1, cvRound(0.16F * kDots * height));
  const cv::Size size = cv::getTextSize(text, cv::FONT_HERSHEY_SIMPLEX, scale, thickness, nullptr);
  cv::Mat1b stamp(size.height + 2 * thickness + 2, size.width + 2 * thickness + 2,
                  static_cast<std::uint8_t>(0));
  cv::putText(stamp, text, {thickness, size.height + thickness}, cv::FONT_HERSHEY_SIMPLEX, scale,
              255, thickness, cv::LINE_AA);
  cv::blur(stamp, stamp, {3, 3});
  const Point middle(static_cast<float>(stamp.cols) / 2, static_cast<float>(stamp.rows) / 2);
  canvas.each(around(centre, cv::norm(middle) / kDots), [&](Point p, int y, int x) {
    const Point dot = rotate(p - centre, -angle) * kDots + middle;
    const cv::Point at(floor_int(dot.x), floor_int(dot.y));
    if (!cv::Rect({0, 0}, stamp.size()).contains(at)) return;
    canvas.colour(y, x) = mix(canvas.colour(y, x), colour, static_cast<float>(stamp(at)) / 255.0F);
  });
}

// ---------------------------------------------------------------- surfaces

void weave(Canvas& canvas, Random& random) {
  const Noise noise(random);
  const Point phase = draw_point(random, 0.0F, 200.0F);
  const float pitch = draw(random, 12.7F, 13.3F);
  const Colour warp_colour = rgb(0x3A5688);
  const Colour weft_colour = rgb(0xCFC8B6);
  canvas.each([&](Point p, int y, int x) {
    const float u = (p.x + phase.x + 2.5F * noise(p.x / 70, p.y / 110)) / pitch;
    const float v = (p.y + phase.y + 2.5F * noise(p.x / 110 + 90, p.y / 70)) / pitch;
    const int i = floor_int(u);
    const int j = floor_int(v);
    const bool warp = ((i + j) & 3) < 2;  // 2/2 twill: each thread passes over two, under two
    const float lane = warp ? u - static_cast<float>(i) : v - static_cast<float>(j);
    const float along = warp ? v : u;
    const int thread = warp ? i : j + 128;
    const float start = static_cast<float>(warp ? -i : 2 - j);
    const float span = (along - start) / 4.0F;
    const float arch = std::sin(kPi * 2.0F * (span - static_cast<float>(floor_int(span))));
    const float across = 2.0F * lane - 1.0F;
    const float round = std::sqrt(std::max(0.0F, 1.0F - across * across));
    const float twist = std::sin(2.0F * kPi * (2.2F * along + 0.7F * across));
    const float fuzz = noise(warp ? p.x : p.x / 5, warp ? p.y / 5 : p.y);
    const float tone = 1.0F + 0.07F * noise.at(thread, 7) + 0.06F * noise(p.x / 60, p.y / 60);
    const float light = 0.28F + 0.5F * round * (0.75F - 0.3F * across) + 0.3F * arch;
    canvas.colour(y, x) = (warp ? warp_colour : weft_colour) *
                          (tone * (light + 0.06F * twist * round + 0.09F * fuzz));
  });
}

void brush(Canvas& canvas, Random& random) {
  const Noise noise(random);
  const float band = draw(random, 210.0F, 300.0F);
  const Colour steel = rgb(0xA9ACB0);
  canvas.each([&](Point p, int y, int x) {
    const float sway = p.y + 1.5F * noise(p.x / 160, p.y / 60);
    const float coarse = noise(p.x / 190 + 3.0F * noise.at(floor_int(sway / 7), 3), sway / 5.3F);
    const float fine = noise(p.x / 75, sway / 2.1F + 50);
    const float hair = noise(p.x / 34 + 80, 1.3F * sway);
    const float glint = std::exp(-std::pow((p.x - band - 0.12F * p.y) / 190, 2.0F));
    const float cloud = noise.fractal(p.x / 220, p.y / 120, 2);
    const float light =
        0.80F + 0.30F * glint + 0.045F * coarse + 0.075F * fine + 0.06F * hair + 0.04F * cloud;
    canvas.colour(y, x) = steel * light;
  });
}

/// Distance to the border of the nearest pebble, in cells.
float pebble(const Noise& noise, float x, float y) {
  const int ix = floor_int(x);
  const int iy = floor_int(y);
  float first = 9.0F;
  float second = 9.0F;
  for (int j = iy - 1; j <= iy + 1; ++j) {
    for (int i = ix - 1; i <= ix + 1; ++i) {
      const float dx = static_cast<float>(i) + 0.5F + 0.45F * noise.at(i, j) - x;
      const float dy = static_cast<float>(j) + 0.5F + 0.45F * noise.at(i + 128, j + 91) - y;
      const float d = dx * dx + dy * dy;
      second = std::min(second, std::max(first, d));
      first = std::min(first, d);
    }
  }
  return std::sqrt(second) - std::sqrt(first);
}

void grain(Canvas& canvas, Random& random) {
  const Noise noise(random);
  const float size = draw(random, 13.0F, 14.5F);
  const Colour hide = rgb(0x8E5230);
  cv::Mat1f relief(canvas.colour.size());
  canvas.each([&](Point p, int y, int x) {
    const float bend = 0.5F * noise(p.x / 38, p.y / 38);
    const float border = pebble(noise, p.x / size + bend, 1.15F * p.y / size - bend);
    relief(y, x) = 2.2F * ramp(0.0F, 0.45F, border) + 0.6F * noise.fractal(p.x / 4, p.y / 4, 2);
    const float mottle = 0.13F * noise.fractal(p.x / 90, p.y / 90, 3);
    canvas.colour(y, x) = hide * (0.68F + 0.3F * ramp(0.0F, 0.4F, border) + mottle);
  });
  emboss(canvas, relief, 0.13F);
}

// ---------------------------------------------------------------- products

/// Something mounted on a product: what is below it, itself, and what lies over it.
struct Part {
  using Paint = void (*)(Canvas&, const Part&);
  Paint seat;
  Paint body;
  Paint cover;
  Point centre;
  Point half;
  float corner;
  float angle;
  Colour colour;
  std::string text = {};
  float kept = 1.0F;  ///< the share of its length that is there

  Point to_plane(float x, float y) const { return centre + rotate({x, y}, angle); }
  Shape outline(float margin = 0.0F) const {
    return plate(centre, {half.x + margin, half.y + margin}, std::max(0.0F, corner + margin),
                 angle);
  }
  Shape piece(float x, float y, float w, float h, float round) const {
    return plate(to_plane(x, y), {w, h}, round, angle);
  }
  Point break_edge() const { return to_plane(half.x * (2.0F * kept - 1.0F), 0.0F); }
  Point axis() const { return rotate({1.0F, 0.0F}, angle); }
};

using Parts = std::vector<Part>;

void no_paint(Canvas&, const Part&) {}

/// A matt table and on it a flat body of the product with some grain.
void body_on_table(Canvas& canvas, const Noise& noise, const Shape& body, const Colour& table,
                   const Colour& colour, float texture) {
  canvas.each([&](Point p, int y, int x) {
    if (body.distance(p) < -canvas.unit) return;
    canvas.colour(y, x) = table * (1.0F + 0.05F * noise.fractal(p.x / 40, p.y / 40, 3));
  });
  shadow(canvas, body, 9.0F, 0.55F);
  fill(canvas, body, [&](Point p, float, const Colour&) {
    const float cloud = 0.05F * noise.fractal(p.x / 120, p.y / 120, 2);
    return Colour(colour * (1.0F + cloud + texture * noise(0.8F * p.x, 0.8F * p.y)));
  });
  bevel(canvas, body, 4.0F, 0.16F);
}

const Colour kTin = rgb(0xC4C6C8);
const Colour kGold = rgb(0xC9A24B);
const Colour kSilk = rgb(0xE9EDE6);

void pad(Canvas& canvas, const Shape& shape) { block(canvas, shape, kTin, 2.5F, 0.22F); }

/// Calls `visit(offset along the side)` for each pin of a chip's side.
template <typename Visit>
void each_pin(float half_side, const Visit& visit) {
  const int count = floor_int(2.0F * half_side / 11.0F);
  for (int i = 0; i < count; ++i) {
    visit((static_cast<float>(i) - 0.5F * static_cast<float>(count - 1)) * 11.0F);
  }
}

void chip_pads(Canvas& canvas, const Part& part) {
  each_pin(part.half.y - 8.0F, [&](float y) {
    for (const float side : {-1.0F, 1.0F}) {
      pad(canvas, part.piece(side * (part.half.x - 3.0F), y, 5.0F, 3.2F, 1.0F));
    }
  });
}

Shape chip_shell(const Part& part) {
  return part.piece(0.0F, 0.0F, part.half.x - 9.0F, part.half.y, 2.5F);
}

void chip(Canvas& canvas, const Part& part) {
  const float body = part.half.x - 9.0F;
  each_pin(part.half.y - 8.0F, [&](float y) {
    for (const float side : {-1.0F, 1.0F}) {
      const Shape pin = part.piece(side * (body + 4.0F), y, 5.5F, 2.0F, 0.8F);
      shadow(canvas, pin, 2.0F, 0.4F);
      fill(canvas, pin, [&](Point p, float, const Colour&) {
        const float bend = std::abs(part.axis().dot(p - part.centre)) - body;
        return Colour(kTin *
                      (0.72F + 0.4F * ramp(1.0F, 4.0F, bend) - 0.3F * ramp(5.0F, 8.0F, bend)));
      });
    }
  });
  block(canvas, chip_shell(part), part.colour, 5.0F, 0.13F, 5.0F);
  const Shape dot = disc(part.to_plane(10.0F - body, 10.0F - part.half.y), 3.4F);
  block(canvas, dot, part.colour * 0.6F, 2.0F, -0.12F);
  draw_text(canvas, part.text, part.to_plane(0.0F, -4.0F), 9.0F, part.angle + kPi / 2,
            rgb(0x9FA3A6));
}

void end_pads(Canvas& canvas, const Part& part) {
  for (const float side : {-1.0F, 1.0F}) {
    pad(canvas, part.piece(side * (part.half.x - 3.0F), 0.0F, 6.0F, part.half.y + 1.5F, 1.5F));
  }
}

Shape resistor_middle(const Part& part) {
  return part.piece(0.0F, 0.0F, part.half.x - 6.0F, part.half.y, 0.8F);
}

void resistor(Canvas& canvas, const Part& part) {
  block(canvas, part.outline(), kTin * 0.97F, 3.0F, 0.2F, 3.5F);
  block(canvas, resistor_middle(part), part.colour, 2.5F, 0.1F);
  draw_text(canvas, part.text, part.centre, 0.75F * part.half.y, part.angle, kSilk * 0.92F);
}

void can_pads(Canvas& canvas, const Part& part) {
  pad(canvas, part.piece(0.0F, 0.0F, part.half.x + 5.0F, 5.0F, 2.0F));
  const Shape ring = disc(part.centre, part.half.x + 4.0F);
  fill(canvas, ring,
       [](Point, float depth, const Colour& under) { return depth < 1.8F ? kSilk : under; });
}

void can(Canvas& canvas, const Part& part) {
  const Shape shell = part.outline();
  shadow(canvas, shell, 11.0F, 0.6F);
  fill(canvas, shell, [&](Point p, float depth, const Colour&) {
    const Point q = rotate(p - part.centre, -part.angle);
    const bool stripe = q.x < -0.45F * part.half.x && depth > 4.0F;
    const float sheen = 1.0F + 0.16F * std::sin(2.0F * std::atan2(q.y, q.x) + 0.8F);
    return Colour((stripe ? rgb(0x2A2B30) : part.colour) * sheen);
  });
  bevel(canvas, shell, 5.0F, 0.25F);
  for (const float turn : {0.0F, kPi / 2}) {
    const Shape groove = plate(part.centre, {0.42F * part.half.x, 0.9F}, 0.9F, part.angle + turn);
    fill(canvas, groove, part.colour * 0.62F);
  }
}

void crystal(Canvas& canvas, const Part& part) {
  const Shape shell = part.outline();
  shadow(canvas, shell, 6.0F, 0.6F);
  fill(canvas, shell, [&](Point p, float, const Colour&) {
    const float x = rotate(p - part.centre, -part.angle).x / part.half.x;
    return Colour(part.colour * (0.92F + 0.16F * std::cos(3.0F * x + 0.6F)));
  });
  bevel(canvas, shell, 4.0F, 0.25F);
  bevel(canvas, part.outline(-5.0F), 2.5F, -0.14F);
  draw_text(canvas, part.text, part.centre, 8.0F, part.angle, rgb(0x55585C));
}

Shape lamp_lens(const Part& part) {
  return disc(part.centre, std::min(part.half.x, part.half.y) - 2.5F);
}

void lamp(Canvas& canvas, const Part& part) {
  block(canvas, part.outline(), rgb(0xE4E0D4), 3.0F, 0.15F, 4.0F);
  const float radius = std::min(part.half.x, part.half.y) - 2.5F;
  block(canvas, lamp_lens(part), part.colour, radius, 0.22F);
  fill(canvas, disc(part.to_plane(-0.35F * radius, -0.4F * radius), 0.24F * radius),
       mix(part.colour, Colour::all(1.0F), 0.75F));
}

void lamp_seat(Canvas& canvas, const Part& part) {
  block(canvas, part.outline(-2.0F), rgb(0x24262A), 3.0F, -0.12F);
}

void header_holes(Canvas& canvas, const Part& part) {
  for (float x = 12.0F - part.half.x; x < part.half.x; x += 20.0F) {
    block(canvas, disc(part.to_plane(x, 0.0F), 6.5F), kGold, 2.5F, 0.2F);
    fill(canvas, disc(part.to_plane(x, 0.0F), 3.2F), rgb(0x15201A));
  }
}

void header(Canvas& canvas, const Part& part) {
  block(canvas, part.outline(), part.colour, 3.5F, 0.16F, 8.0F);
  for (float x = 12.0F - part.half.x; x < part.half.x; x += 20.0F) {
    block(canvas, part.piece(x, 0.0F, 8.0F, 8.0F, 1.5F), part.colour * 0.7F, 2.5F, -0.1F);
    block(canvas, part.piece(x, 0.0F, 3.3F, 3.3F, 0.8F), kGold, 2.5F, 0.3F);
  }
}

Parts board_parts() {
  const Colour ink = rgb(0x26282B);
  const Colour clay = rgb(0xB08D66);
  const Colour metal = rgb(0xB9BCC0);
  Parts parts = {
      {chip_pads, chip, no_paint, {170, 176}, {66, 78}, 3, 0, ink, "NAGL-32"},
      {chip_pads, chip, no_paint, {392, 168}, {40, 50}, 3, 0, ink, "LM2904"},
      {chip_pads, chip, no_paint, {296, 330}, {38, 46}, 3, 0, ink, "74HC08"},
      {end_pads, crystal, no_paint, {168, 304}, {38, 15}, 14, 0, metal, "16.000"},
      {can_pads, can, no_paint, {92, 398}, {32, 32}, 32, 0, metal},
      {can_pads, can, no_paint, {178, 404}, {25, 25}, 25, 0, metal},
      {header_holes, header, no_paint, {346, 444}, {102, 15}, 2, 0, rgb(0x33353A)},
      {end_pads, lamp, no_paint, {440, 296}, {13, 10}, 2, 0, rgb(0xC8352B)},
      {end_pads, lamp, no_paint, {440, 336}, {13, 10}, 2, 0, rgb(0x58B848)},
  };
  for (int i = 0; i < 5; ++i) {
    const float y = 96.0F + 32.0F * static_cast<float>(i);
    parts.push_back({end_pads, resistor, no_paint, {298, y}, {17, 9}, 1.5F, 0, ink, "103"});
  }
  for (int i = 0; i < 4; ++i) {
    const float x = 372.0F + 22.0F * static_cast<float>(i);
    parts.push_back({end_pads, resistor, no_paint, {x, 76}, {14, 7.5F}, 2, kPi / 2, clay});
  }
  for (int i = 0; i < 3; ++i) {
    const float y = 290.0F + 24.0F * static_cast<float>(i);
    parts.push_back({end_pads, resistor, no_paint, {76, y}, {14, 7.5F}, 2, 0, clay});
    parts.push_back({end_pads, resistor, no_paint, {374, y + 16}, {14, 7.5F}, 2, 0, ink});
  }
  return parts;
}

void via(Canvas& canvas, Point centre) {
  fill(canvas, disc(centre, 4.6F), kGold * 0.95F);
  fill(canvas, disc(centre, 2.1F), rgb(0x14241B));
}

/// A copper line through the points x, y, x, y, ... under the lacquer.
void track(Canvas& canvas, const std::vector<float>& path) {
  std::vector<Point> points;
  for (std::size_t i = 0; i + 1 < path.size(); i += 2) points.emplace_back(path[i], path[i + 1]);
  block(canvas, stroke(points, 1.9F), rgb(0x2E8A55), 1.6F, 0.06F);
}

/// Fans of parallel tracks, some of which end in holes.
void tracks(Canvas& canvas) {
  for (int i = 0; i < 7; ++i) {
    const float k = static_cast<float>(i);
    const float y = 11 * k;
    track(canvas, {232, 132 + y, 250 - k, 132 + y, 262 - k, 120 + 14 * k, 281, 120 + 14 * k});
    const float x = 68 - 5 * k;
    track(canvas, {110, 122 + y, x + 12, 122 + y, x, 134 + y, x, 214 + 6 * k});
    via(canvas, {x, 214 + 6 * k});
    const float from = 246 + 20 * k;
    const float to = 240 + 12 * k;
    track(canvas, {from, 444, from, 414 - 3 * k, to, 402 - 3 * k, to, 386});
    via(canvas, {to, 386});
  }
  for (int i = 0; i < 4; ++i) {
    const float k = static_cast<float>(i);
    const float right = 456 + 6 * k;
    track(canvas, {372 + 22 * k, 90, 372 + 22 * k, 106 + 2 * k, right - 16, 130 + 2 * k, right, 140,
                   right, 250 + 7 * k});
    via(canvas, {right, 250 + 7 * k});
    track(canvas, {320, 104 + 32 * k, 338, 104 + 32 * k, 350, 138 + 12 * k, 356, 138 + 12 * k});
  }
  for (int i = 0; i < 3; ++i) {
    const float k = static_cast<float>(i);
    const float y = 330 + 9 * k;
    track(canvas, {92, 290 + 24 * k, 112, 290 + 24 * k, 126, y, 236 - 8 * k, y});
    via(canvas, {236 - 8 * k, y});
  }
}

void board(Canvas& canvas, Random& random) {
  const Noise noise(random);
  const Shape body = plate(kCentre, {234, 234}, 10);
  body_on_table(canvas, noise, body, rgb(0xB5B4B0), rgb(0x1F6E42), 0.03F);
  tracks(canvas);
  for (const Point corner : {Point(46, 46), Point(466, 46), Point(46, 466), Point(466, 466)}) {
    block(canvas, disc(corner, 15), kGold, 3, 0.2F);
    block(canvas, disc(corner, 9), rgb(0x8D8C88), 5, -0.35F);
  }
  draw_text(canvas, "NAGL CTRL", {160, 62}, 15, 0, kSilk);
  draw_text(canvas, "REV 2.1", {288, 62}, 9, 0, kSilk);
  const auto label = [&](const char* text, float x, float y) {
    draw_text(canvas, text, {x, y}, 8, 0, kSilk);
  };
  label("U1", 240, 104);
  label("U2", 440, 118);
  label("U3", 336, 276);
  label("Y1", 222, 300);
  label("C1", 92, 354);
  label("C2", 178, 366);
  label("J1", 228, 444);
  label("D1", 464, 312);
  label("R1", 298, 78);
}

void pocket(Canvas& canvas, const Part& part) {
  const Shape hollow = part.outline(13.0F);
  fill(canvas, hollow, [](Point, float depth, const Colour& under) {
    return Colour(under * (0.86F - 0.2F * ramp(2.0F, 16.0F, depth)));
  });
  bevel(canvas, hollow, 7.0F, -0.24F);
}

constexpr float kSeam = 4.0F;  // where the two colours of a pill meet

void pill(Canvas& canvas, const Part& part) {
  const Shape whole = part.outline();
  const Shape shape = part.kept < 1.0F ? cut(whole, part.break_edge(), part.axis()) : whole;
  shadow(canvas, shape, 6.0F, 0.5F);
  const Colour ivory = rgb(0xEFE8D8);
  fill(canvas, shape, [&](Point p, float depth, const Colour&) {
    const Point q = rotate(p - part.centre, -part.angle);
    const float seam = ramp(-0.8F, 0.8F, q.x - kSeam);
    const float lip = q.x > kSeam - 2.0F && q.x < kSeam ? 0.9F : 1.0F;
    const float round = std::sqrt(std::clamp(depth / part.half.y, 0.0F, 1.0F));
    return Colour(mix(part.colour, ivory, seam) * (lip * (0.55F + 0.45F * round)));
  });
  bevel(canvas, shape, part.half.y, 0.13F);
}

void dome(Canvas& canvas, const Part& part) {
  const Shape glare = part.piece(-8.0F, -0.62F * part.half.y, 0.55F * part.half.x, 2.2F, 2.2F);
  fill(canvas, glare, [](Point, float depth, const Colour& under) {
    return mix(under, Colour::all(1.0F), 0.6F * ramp(-0.5F, 2.0F, depth));
  });
  const Shape edge = part.outline(12.0F);
  fill(canvas, edge, [&](Point p, float depth, const Colour& under) {
    const float side = (p.x - part.centre.x) / 60 + (p.y - part.centre.y) / 30;
    const float glow = ramp(4.0F, 2.0F, depth) * ramp(0.0F, 1.0F, depth);
    return Colour(under + Colour::all(0.22F * glow * ramp(0.4F, 1.4F, side)));
  });
}

Parts blister_parts() {
  Parts parts;
  for (int i = 0; i < 15; ++i) {
    const Point at(256.0F + 146.0F * static_cast<float>(i % 3 - 1),
                   248.0F + 84.0F * static_cast<float>(i / 3 - 2));
    parts.push_back({pocket, pill, dome, at, {44, 17}, 17, 0, rgb(0xB8352C)});
  }
  return parts;
}

void blister(Canvas& canvas, Random& random) {
  const Noise noise(random);
  const Shape body = plate(kCentre, {226, 232}, 22);
  body_on_table(canvas, noise, body, rgb(0x2E3A4C), rgb(0xB4B8BD), 0.0F);
  fill(canvas, body, [&](Point p, float, const Colour& under) {
    const float diamond = std::sin(0.9F * (p.x + p.y)) * std::sin(0.9F * (p.x - p.y));
    const float crease = noise.fractal(p.x / 24, p.y / 24, 2);
    return Colour(under * (1.0F + 0.05F * diamond + 0.09F * crease));
  });
  draw_text(canvas, "NAGLAMOL 250 mg", {190, 470}, 9, 0, rgb(0x4B5A78));
  draw_text(canvas, "LOT 7041", {400, 470}, 9, 0, rgb(0x4B5A78));
}

void key_well(Canvas& canvas, const Part& part) {
  block(canvas, part.outline(3.5F), rgb(0x17181A), 4.0F, -0.1F);
  block(canvas, disc(part.centre, 12.0F), rgb(0x5A5248), 4.0F, 0.1F);
}

void key(Canvas& canvas, const Part& part) {
  block(canvas, part.outline(), part.colour, 6.0F, 0.2F, 4.0F);
  const Shape top = part.outline(-7.0F);
  fill(canvas, top, [&](Point p, float, const Colour& under) {
    const Point q = p - part.centre;
    return Colour(under * (1.02F + 0.0016F * (q.x + 1.4F * q.y)));  // slightly hollow
  });
  const bool dark = part.colour[1] < 0.56F;
  draw_text(canvas, part.text, part.centre, part.text.size() > 1 ? 12.0F : 19.0F, part.angle,
            dark ? rgb(0xF0EEE8) : rgb(0x2A2C30));
}

void screw_hole(Canvas& canvas, const Part& part) {
  const Shape hole = part.outline(-4.0F);
  bevel(canvas, part.outline(2.0F), 4.0F, -0.12F);
  fill(canvas, hole, rgb(0x101113));
}

void screw(Canvas& canvas, const Part& part) {
  block(canvas, part.outline(), part.colour, 5.0F, 0.25F, 3.0F);
  for (const float turn : {0.0F, kPi / 2}) {
    const Shape slot = plate(part.centre, {6.5F, 1.7F}, 1.0F, part.angle + turn);
    fill(canvas, slot, part.colour * 0.35F);
  }
}

Parts keypad_parts() {
  const std::array<const char*, 16> texts = {"1", "2", "3", "C", "4", "5", "6", "+",
                                             "7", "8", "9", "-", "*", "0", "#", "OK"};
  Parts parts;
  for (int i = 0; i < 16; ++i) {
    const Point at(256.0F + 92.0F * (static_cast<float>(i % 4) - 1.5F),
                   186.0F + 80.0F * static_cast<float>(i / 4));
    const unsigned hex = i == 3 ? 0xB63A30 : i == 15 ? 0x2F7F58 : i % 4 == 3 ? 0xD9A441 : 0xD8D5CC;
    const std::string text = texts[static_cast<std::size_t>(i)];
    parts.push_back({key_well, key, no_paint, at, {38, 31}, 7, 0, rgb(hex), text});
  }
  for (const Point at : {Point(62, 46), Point(450, 46), Point(62, 470), Point(450, 470)}) {
    parts.push_back({screw_hole, screw, no_paint, at, {11, 11}, 11, 0.4F, rgb(0xA8ABAE)});
  }
  for (const float y : {76.0F, 104.0F}) {
    const Colour colour = y < 90.0F ? rgb(0xD0452F) : rgb(0x5FBF4A);
    parts.push_back({lamp_seat, lamp, no_paint, {432, y}, {10, 10}, 10, 0, colour});
  }
  return parts;
}

void keypad(Canvas& canvas, Random& random) {
  const Noise noise(random);
  const Shape body = plate(kCentre, {222, 238}, 26);
  body_on_table(canvas, noise, body, rgb(0xC7B79D), rgb(0x4A4F57), 0.07F);
  bevel(canvas, body, 12.0F, 0.1F);
  block(canvas, plate({236, 88}, {162, 42}, 8), rgb(0x1C1E21), 4.0F, -0.14F);
  const Shape glass = plate({236, 88}, {150, 31}, 3);
  fill(canvas, glass, [](Point p, float, const Colour&) {
    const float glare = ramp(0.0F, 60.0F, p.x - p.y) * ramp(130.0F, 70.0F, p.x - p.y);
    return mix(rgb(0x8FA383), Colour::all(1.0F), 0.05F + 0.14F * glare);
  });
  bevel(canvas, glass, 5.0F, -0.2F);
  draw_text(canvas, "8888.88", {270, 90}, 28, 0, rgb(0x7E9174));
}

// ---------------------------------------------------------------- defects

/// How damage looks on a category.
struct Look {
  Colour scratch;
  Colour stain;  ///< filters the colour below
  Colour tint;   ///< filters the colour below
  Colour hole;
  Colour rim;
  float fray = 0.0F;  ///< how ragged a hole is
};

/// A defect of severity 0 (subtle) to 1 (obvious) alters the parts, or the finished picture.
struct Defect {
  const char* name;
  void (*alter)(Canvas&, Parts&, Random&, float severity);
  void (*overlay)(Canvas&, const Look&, Random&, float severity);
};

std::vector<Point> curve(Point from, Point by, Point to) {
  constexpr int kSteps = 20;
  std::vector<Point> points;
  for (int i = 0; i <= kSteps; ++i) {
    const float t = static_cast<float>(i) / kSteps;
    points.push_back(mix(mix(from, by, t), mix(by, to, t), t));
  }
  return points;
}

void scratch(Canvas& canvas, const Look& look, Random& random, float severity) {
  const Noise noise(random);
  const Point middle = draw_point(random, 150.0F, 362.0F);
  const Point reach =
      rotate({draw(random, 34.0F, 44.0F) + 70.0F * severity, 0.0F}, draw(random, 0.5F, kPi - 0.5F));
  const Point bow = Point(-reach.y, reach.x) * draw(random, -0.4F, 0.4F);
  const float half = std::max(1.3F + 1.5F * severity, 0.75F * canvas.unit);
  const Shape line = stroke(curve(middle - reach, middle + bow, middle + reach), half, 0.45F);
  const float strength = 0.42F + 0.5F * severity;
  fill(canvas, line, [&](Point p, float, const Colour& under) {
    const float wear = 0.85F + 0.3F * noise(p.x / 6, p.y / 6);
    return mix(under, look.scratch, std::min(1.0F, strength * wear));
  });
  bevel(canvas, line, half, -0.14F * strength);
  mark(canvas, line);
}

void stain(Canvas& canvas, const Look& look, Random& random, float severity) {
  const Noise noise(random);
  const float radius = draw(random, 16.0F, 22.0F) + 24.0F * severity;
  const Point middle = draw_point(random, 130.0F, 382.0F);
  const float strength = 0.34F + 0.53F * severity;
  const auto spot = [&](Point centre, float size) {
    const Shape shape = blob(centre, size, 0.55F, noise);
    fill(canvas, shape, [&](Point p, float depth, const Colour& under) {
      const float ring = ramp(9.0F, 2.0F, depth);  // dried rim
      const float cloud = 0.75F + 0.3F * noise.fractal(p.x / 18, p.y / 18, 2);
      const float density = strength * ramp(-1.0F, 3.0F, depth) * (cloud + 0.35F * ring);
      const Colour film = mix(under.mul(look.stain), 0.75F * look.stain, 0.5F);
      return mix(under, film, std::min(1.0F, density));
    });
    mark(canvas, shape);
  };
  spot(middle, radius);
  const float turn = draw(random, 0.0F, 2.0F * kPi);
  for (int drop = 0; drop < floor_int(3.9F * severity); ++drop) {
    const float size = draw(random, 4.0F, 8.0F);
    const float far = 1.45F * radius + 2.0F * size;
    spot(middle + rotate({far, 0.0F}, turn + 0.8F * static_cast<float>(drop)), size);
  }
}

void hole(Canvas& canvas, const Look& look, Random& random, float severity) {
  const Noise noise(random);
  const float radius = std::max(draw(random, 5.5F, 7.0F) + 15.0F * severity, 2.5F * canvas.unit);
  const Shape torn = blob(draw_point(random, 90.0F, 422.0F), radius, look.fray, noise);
  const float lip = 2.2F + 1.3F * severity;
  fill(canvas, torn, [&](Point p, float depth, const Colour& under) {
    const Colour rim =
        mix(under, look.rim, 0.35F + 0.35F * severity + 0.3F * noise(p.x / 2, p.y / 2));
    const Colour floor = mix(0.5F * under, look.hole, 0.5F + 0.5F * severity) *
                         (1.0F + 0.3F * noise(p.x / 4, p.y / 4));
    return mix(rim, floor, ramp(lip - 1.0F, lip + 1.0F, depth));
  });
  bevel(canvas, torn, 2.0F * lip, -0.16F);
  mark(canvas, torn);
}

void discolour(Canvas& canvas, const Look& look, Random& random, float severity) {
  const Noise noise(random);
  const float radius = draw(random, 26.0F, 34.0F) + 34.0F * severity;
  const Shape area = blob(draw_point(random, 120.0F, 392.0F), radius, 0.6F, noise);
  const float strength = 0.34F + 0.61F * severity;
  fill(canvas, area, [&](Point, float depth, const Colour& under) {
    return mix(under, under.mul(look.tint), strength * ramp(-1.0F, 5.0F, depth));
  });
  mark(canvas, area);
}

/// One of the parts; the more severe, the larger.
Part& pick(Parts& parts, Random& random, float severity) {
  std::vector<std::size_t> order(parts.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  random.shuffle(order);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return parts[a].half.x * parts[a].half.y < parts[b].half.x * parts[b].half.y;
  });
  const double rank = severity * static_cast<double>(order.size()) - random.uniform();
  return parts[order[static_cast<std::size_t>(
      std::clamp(rank, 0.0, static_cast<double>(order.size() - 1)))]];
}

void missing(Canvas& canvas, Parts& parts, Random& random, float severity) {
  Part& part = pick(parts, random, severity);
  const bool broken = part.body == pill && severity < 0.6F;
  part.kept = broken ? draw(random, 0.35F, 0.5F) + 0.6F * (0.6F - severity) : 0.0F;
  mark(canvas, broken ? cut(part.outline(), part.break_edge(), -part.axis()) : part.outline());
  if (!broken) part.body = no_paint;
}

void displaced(Canvas& canvas, Parts& parts, Random& random, float severity) {
  Part& part = pick(parts, random, draw(random, 0.0F, 1.0F));
  mark(canvas, part.outline());
  const float turn = random.integer(2) == 0 ? -1.0F : 1.0F;
  const float reach = part.body == pill ? 4.0F : 5.0F + 7.0F * severity;
  part.angle += turn * (0.09F + draw(random, 0.25F, 0.4F) * severity);
  part.centre += rotate({reach, 0.0F}, draw(random, 0.0F, 2.0F * kPi));
  mark(canvas, part.outline());
}

/// What shows the colour of a part.
Shape dyed(const Part& part) {
  if (part.body == chip) return chip_shell(part);
  if (part.body == resistor) return resistor_middle(part);
  if (part.body == lamp) return lamp_lens(part);
  if (part.body == pill) return cut(part.outline(), part.to_plane(kSeam, 0.0F), part.axis());
  return part.outline();
}

void recolour(Canvas& canvas, Parts& parts, Random& random, float severity) {
  Part& part = pick(parts, random, draw(random, 0.2F, 1.0F));
  const std::array<Colour, 4> wrong = {rgb(0x3F6FB5), rgb(0xC0672A), rgb(0x7B4A9A), rgb(0x4F8F3F)};
  const Colour& other = wrong[static_cast<std::size_t>(random.integer(4))];
  part.colour = mix(part.colour, other, 0.4F + 0.6F * severity);
  mark(canvas, dyed(part));
}

// ---------------------------------------------------------------- domains and pictures

struct Category {
  const char* name;
  void (*ground)(Canvas&, Random&);
  Parts (*parts)();
  Look look;
};

struct Domain {
  const char* name;
  std::vector<Category> categories;
  std::vector<Defect> defects;
};

Parts no_parts() { return {}; }

Look look(unsigned scratch, unsigned stain, unsigned tint = 0, unsigned hole = 0, unsigned rim = 0,
          float fray = 0.0F) {
  return {rgb(scratch), rgb(stain), rgb(tint), rgb(hole), rgb(rim), fray};
}

const std::vector<Domain>& domains() {
  static const Domain surfaces = {
      "surfaces",
      {{"woven", weave, no_parts, look(0xF1EEE6, 0x8A6A48, 0xFFB08A, 0x16181C, 0xDAD6CC, 0.7F)},
       {"brushed", brush, no_parts, look(0xF6F5F2, 0x7A6C58, 0xE8C078, 0x1B1C1E, 0xEDEDEA, 0.12F)},
       {"leather", grain, no_parts, look(0xD2A47C, 0x59504A, 0x9AA0B8, 0x150D09, 0xB98258, 0.45F)}},
      {{"scratch", nullptr, scratch},
       {"stain", nullptr, stain},
       {"hole", nullptr, hole},
       {"colour", nullptr, discolour}}};
  static const Domain products = {"products",
                                  {{"board", board, board_parts, look(0xD8C79A, 0xF0D49A)},
                                   {"blister", blister, blister_parts, look(0x4A4C50, 0x8C6A3E)},
                                   {"keypad", keypad, keypad_parts, look(0xB9B7B0, 0x7C6240)}},
                                  {{"missing", missing, nullptr},
                                   {"displaced", displaced, nullptr},
                                   {"colour", recolour, nullptr},
                                   {"scratch", nullptr, scratch},
                                   {"stain", nullptr, stain}}};
  static const std::vector<Domain> all = {surfaces, products};
  return all;
}

/// Independent random numbers for the aspects of one picture, so that a defect changes nothing
/// else.
struct Key {
  std::uint64_t seed;
  std::uint64_t category;
  std::uint64_t split;
  std::uint64_t index;

  enum Aspect : std::uint64_t { kCamera, kGround, kParts, kLight, kNoise, kDefect };
  Random random(Aspect aspect) const { return Random(seed, category, split << 32 | index, aspect); }
};

/// 1, 0.5, 0.75, 0.25, 0.875, ...: any number of pictures covers the whole range.
float severity_of(std::uint64_t index) {
  float inverse = 0.0F;
  for (float digit = 0.5F; index != 0; index >>= 1, digit *= 0.5F) {
    if ((index & 1) != 0) inverse += digit;
  }
  return 1.0F - inverse;
}

/// How parts of good products differ from the drawing.
void apply_tolerance(Parts& parts, Random random) {
  for (Part& part : parts) {
    const float play = part.body == pill ? 1.6F : 0.6F;
    part.centre += draw_point(random, -play, play);
    part.angle += draw(random, -0.018F, 0.018F) * play;
    const float tone = draw(random, 0.96F, 1.04F);
    part.colour *= tone;
    const float spin = draw(random, 0.0F, 2.0F * kPi);
    if (part.body == screw) part.angle = spin;
    if (part.body == pill && spin < kPi) part.angle += kPi;
  }
}

void add_noise(cv::Mat3b& picture, int y, Random random) {
  for (int x = 0; x < picture.cols; ++x) {
    const std::uint64_t bits = random.next();
    for (int channel = 0; channel < 3; ++channel) {
      // the number of ones in 21 random bits is nearly normal
      const int ones = std::popcount(bits >> (21 * channel) & 0x1FFFFF);
      std::uint8_t& value = picture(y, x)[channel];
      value = cv::saturate_cast<std::uint8_t>(value + (3 * (2 * ones - 21)) / 8);
    }
  }
}

cv::Mat3b photograph(Canvas& canvas, Random light, Random noise) {
  const float gain = draw(light, 0.93F, 1.05F);
  const Point slope = draw_point(light, -0.06F, 0.06F);
  const Colour white(draw(light, 0.985F, 1.015F), 1.0F, draw(light, 0.985F, 1.015F));
  const float scale = 2.0F / static_cast<float>(canvas.colour.cols);
  cv::Mat3b picture(canvas.colour.size());
  canvas.each([&](Point, int y, int x) {
    const Point q(static_cast<float>(x) * scale - 1.0F, static_cast<float>(y) * scale - 1.0F);
    const float level = gain * (1.0F + slope.dot(q) - 0.04F * q.dot(q));
    picture(y, x) = canvas.colour(y, x).mul(white) * (255.0F * level);
  });
  cv::GaussianBlur(picture, picture, {3, 3}, 0.6);
  const std::uint64_t roll = noise.next();
  cv::parallel_for_({0, picture.rows}, [&](const cv::Range& range) {
    for (int y = range.start; y < range.end; ++y)
      add_noise(picture, y, Random(roll, static_cast<std::uint64_t>(y)));
  });
  return picture;
}

struct Picture {
  cv::Mat3b image;
  cv::Mat1b mask;
};

/// Without a defect, the same specimen in good state.
Picture render(const Category& category, const Key& key, int size, const Defect* defect) {
  Random camera = key.random(Key::kCamera);
  const float angle = draw(camera, -0.02F, 0.02F);
  Canvas canvas(size, angle, draw_point(camera, -5.0F, 5.0F));
  Random ground = key.random(Key::kGround);
  category.ground(canvas, ground);

  const Parts drawing = category.parts();
  Parts parts = drawing;
  apply_tolerance(parts, key.random(Key::kParts));
  Random damage = key.random(Key::kDefect);
  const float severity = severity_of(key.index);
  if (defect != nullptr && defect->alter != nullptr) {
    defect->alter(canvas, parts, damage, severity);
  }
  for (const Part& part : drawing) part.seat(canvas, part);
  for (const Part& part : parts) part.body(canvas, part);
  for (const Part& part : drawing) part.cover(canvas, part);
  if (defect != nullptr && defect->overlay != nullptr) {
    defect->overlay(canvas, category.look, damage, severity);
  }
  return {photograph(canvas, key.random(Key::kLight), key.random(Key::kNoise)), canvas.mask};
}

// ---------------------------------------------------------------- files

[[noreturn]] void fail_to_write(const fs::path& path, const std::string& reason) {
  throw DataError("cannot write " + path.string() + ": " + reason +
                  "; check that the folder is writable and the disk has room");
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail_to_write(folder, error.message());
}

void write_png(const fs::path& path, const cv::Mat& image) {
  std::vector<std::uint8_t> bytes;
  if (!cv::imencode(".png", image, bytes,
                    {cv::IMWRITE_PNG_STRATEGY, cv::IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY})) {
    fail_to_write(path, "the PNG encoder failed");
  }
  const fs::path temporary = path.string() + ".part";
  std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  file.close();
  std::error_code error;
  if (file) fs::rename(temporary, path, error);
  if (!file || error) {
    std::error_code ignored;
    fs::remove(temporary, ignored);
    fail_to_write(path, error ? error.message() : "the file could not be written in full");
  }
}

void refuse_used_folder(const fs::path& folder) {
  std::error_code error;
  if (!fs::exists(folder, error) && !error) return;
  const bool empty = !error && fs::is_directory(folder, error) && fs::is_empty(folder, error);
  if (error) fail_to_write(folder, error.message());
  if (!empty) {
    throw ConfigError(folder.string() +
                      " already exists and is not an empty folder; choose an empty or new folder");
  }
}

std::string numbered(std::uint64_t index, const char* ending) {
  std::string digits = std::to_string(index);
  if (digits.size() < 3) digits.insert(0, 3 - digits.size(), '0');
  return digits + ending;
}

/// Writes one category and calls `step` after each picture.
template <typename Step>
void write_category(const fs::path& root, const Domain& domain, const Category& category, Key key,
                    const SyntheticOptions& options, const Step& step) {
  const auto write_split = [&](const fs::path& split, int count, const Defect* defect) {
    if (count > 0) make_folder(root / split);
    const fs::path truth = root / "ground_truth" / split.filename();
    if (count > 0 && defect != nullptr) make_folder(truth);
    for (key.index = 0; key.index < static_cast<std::uint64_t>(count); ++key.index) {
      const Picture picture = render(category, key, options.size, defect);
      if (defect != nullptr) write_png(truth / numbered(key.index, "_mask.png"), picture.mask);
      write_png(root / split / numbered(key.index, ".png"), picture.image);
      step();
    }
    ++key.split;
  };
  write_split("train/good", options.train_good, nullptr);
  write_split("test/good", options.test_good, nullptr);
  for (const Defect& defect : domain.defects) {
    write_split(fs::path("test") / defect.name, options.test_defect, &defect);
  }
}

void check_range(const char* name, int value, int low, int high) {
  if (value >= low && value <= high) return;
  throw ConfigError("synthetic dataset: " + std::string(name) + " is " + std::to_string(value) +
                    ", must be " + std::to_string(low) + " to " + std::to_string(high));
}

}  // namespace

void SyntheticOptions::check() const {
  check_range("size", size, 64, 4096);
  check_range("train_good", train_good, 1, 10000);
  check_range("test_good", test_good, 0, 10000);
  check_range("test_defect", test_defect, 0, 10000);
}

const std::vector<SyntheticDomain>& synthetic_domains() {
  static const std::vector<SyntheticDomain> all = [] {
    std::vector<SyntheticDomain> result;
    for (const Domain& domain : domains()) {
      SyntheticDomain& entry = result.emplace_back();
      entry.name = domain.name;
      for (const Category& category : domain.categories) entry.categories.push_back(category.name);
      for (const Defect& defect : domain.defects) entry.defects.push_back(defect.name);
    }
    return result;
  }();
  return all;
}

namespace internal {

/// For tests: a picture of test/TYPE and its mask or, with `intact`, the same specimen without its
/// defect.
std::pair<cv::Mat, cv::Mat> render_synthetic(const SyntheticOptions& options, std::size_t domain,
                                             std::size_t category, std::size_t type,
                                             std::uint64_t index, bool intact) {
  const Domain& from = domains().at(domain);
  Key key{options.seed, category, 2 + type, index};
  for (std::size_t i = 0; i < domain; ++i) key.category += domains()[i].categories.size();
  const Defect* defect = intact ? nullptr : &from.defects.at(type);
  const Picture picture = render(from.categories.at(category), key, options.size, defect);
  return {picture.image, picture.mask};
}

}  // namespace internal

void write_synthetic_dataset(const std::filesystem::path& out, const SyntheticOptions& options,
                             const SyntheticProgress& progress) {
  options.check();
  std::int64_t total = 0;
  for (const Domain& domain : domains()) {
    refuse_used_folder(out / domain.name);
    const auto types = static_cast<std::int64_t>(domain.defects.size());
    total += static_cast<std::int64_t>(domain.categories.size()) *
             (options.train_good + options.test_good + types * options.test_defect);
  }
  std::int64_t done = 0;
  Key key{options.seed, 0, 0, 0};
  for (const Domain& domain : domains()) {
    for (const Category& category : domain.categories) {
      write_category(out / domain.name / category.name, domain, category, key, options, [&] {
        ++done;
        if (progress) progress(done, total);
      });
      ++key.category;
    }
  }
}

}  // namespace nagl
