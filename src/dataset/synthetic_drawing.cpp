#include "synthetic_drawing.h"

#include <limits>
#include <opencv2/imgproc.hpp>

namespace nagl::synthetic {
namespace {

cv::Rect2f grow(const cv::Rect2f& box, float reach) {
  return {box.x - reach, box.y - reach, box.width + 2 * reach, box.height + 2 * reach};
}

cv::Rect2f around(Point centre, float reach) { return grow({centre, cv::Size2f()}, reach); }

}  // namespace

Noise::Noise(Random& random) : values_(kSide * kSide) {
  for (float& value : values_) value = draw(random, -1.0F, 1.0F);
}

float Noise::fractal(float x, float y, int octaves) const {
  float sum = 0.0F;
  float weight = 0.5F;
  for (int i = 0; i < octaves; ++i, weight *= 0.5F) {
    sum += weight * (*this)(x, y);
    x = 2.03F * x + 17.3F;
    y = 2.03F * y + 41.7F;
  }
  return sum;
}

Shape plate(Point centre, Point half, float corner, float angle) {
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

Shape stroke(const std::vector<Point>& points, float half, float taper) {
  return {grow(cv::boundingRect(points), half), [=](Point p) {
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

Shape blob(Point centre, float radius, float roughness, const Noise& noise) {
  return {around(centre, radius * (1.0F + roughness)), [=, &noise](Point p) {
            const Point q = p - centre;
            const float wave = noise.fractal(1.4F * q.x / radius, 1.4F * q.y / radius, 3);
            return std::sqrt(q.x * q.x + 0.7F * q.y * q.y) - radius * (1.0F + roughness * wave);
          }};
}

Shape cut(const Shape& shape, Point edge, Point normal) {
  return {shape.box, [=](Point p) { return std::max(shape.distance(p), normal.dot(p - edge)); }};
}

cv::Rect Canvas::to_pixels(const cv::Rect2f& box) const {
  std::vector<Point> corners;
  for (const Point& corner :
       {box.tl(), box.br(), Point(box.x, box.br().y), Point(box.br().x, box.y)}) {
    corners.push_back((rotate(corner - kCentre, angle_) + kCentre + shift_) / unit);
  }
  return cv::Rect(grow(cv::boundingRect(corners), 2)) & cv::Rect({0, 0}, colour.size());
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
  canvas.each(grow(shape.box + offset, height), [&](Point p, int y, int x) {
    const float distance = shape.distance(p - offset);
    canvas.colour(y, x) *= 1.0F - strength * ramp(height, -height, distance);
  });
}

void bevel(Canvas& canvas, const Shape& shape, float width, float strength) {
  canvas.each(shape.box, [&](Point p, int y, int x) {
    const float distance = shape.distance(p);
    const float cover = canvas.cover(distance);
    if (cover <= 0.0F || distance <= -width) return;
    const float left = shape.distance(p - Point(0.5F, 0.0F));
    const float above = shape.distance(p - Point(0.0F, 0.5F));
    const float lit = 1.2F * (left - distance) + 1.6F * (above - distance);
    const float fade = 1.0F + std::min(distance, 0.0F) / width;
    canvas.colour(y, x) += Colour::all(strength * fade * cover * lit);
  });
}

void draw_text(Canvas& canvas, const std::string& text, Point centre, float height,
               const Colour& colour, float angle) {
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

}  // namespace nagl::synthetic
