#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "synthetic_drawing.h"

/// What the synthetic domains are made of, and how one of their pictures is rendered.
namespace nagl::synthetic {

struct Part;

/// A kind of part: what is below it, itself, and what lies over it.
struct Kind {
  void (*seat)(Canvas&, const Part&);
  void (*body)(Canvas&, const Part&);
  void (*cover)(Canvas&, const Part&) = nullptr;
  Shape (*dyed)(const Part&) = nullptr;  ///< what shows its colour; null: the whole part
};

/// Something mounted on a product.
struct Part {
  const Kind* kind;
  Point centre;
  Point half;
  float corner;
  float angle;
  Colour colour;
  std::string text = {};
  float kept = 1.0F;  ///< the share of its length that is there

  Point axis() const { return rotate({1.0F, 0.0F}, angle); }
  Point to_plane(float x, float y) const { return centre + rotate({x, y}, angle); }
  Point to_part(Point p) const { return rotate(p - centre, -angle); }
  Shape outline(float margin = 0.0F) const {
    return plate(centre, {half.x + margin, half.y + margin}, std::max(0.0F, corner + margin),
                 angle);
  }
  Shape piece(float x, float y, float w, float h, float round) const {
    return plate(to_plane(x, y), {w, h}, round, angle);
  }
};

using Parts = std::vector<Part>;

/// The colours of damage on a category, as 0xRRGGBB.
struct Look {
  unsigned scratch;
  unsigned stain;     ///< filters the colour below
  unsigned tint = 0;  ///< filters the colour below
  unsigned hole = 0;
  unsigned rim = 0;
  float fray = 0.0F;  ///< how ragged a hole is
};

/// A defect of severity 0 (subtle) to 1 (obvious) alters the parts, or the finished picture.
struct Defect {
  const char* name = nullptr;
  void (*alter)(Canvas&, Parts&, Random, float severity) = nullptr;
  void (*overlay)(Canvas&, const Look&, Random, float severity) = nullptr;
};

struct Category {
  const char* name;
  std::uint64_t id;  ///< its random numbers depend on it
  void (*ground)(Canvas&, Random);
  Parts parts;  ///< as drawn, mounted on the ground
  Look look;
};

struct Domain {
  const char* name;
  std::vector<Category> categories;
  std::vector<Defect> defects;
};

Domain surfaces();
Category board();
Domain products();
const std::vector<Domain>& domains();

// Shared by both domains.
void scratch(Canvas& canvas, const Look& look, Random random, float severity);
void stain(Canvas& canvas, const Look& look, Random random, float severity);

// Shared by the products.
/// A matt table and on it a flat body of the product with some grain.
void body_on_table(Canvas& canvas, Random random, const Shape& body, const Colour& table,
                   const Colour& colour, float texture);
void lamp(Canvas& canvas, const Part& part);
Shape lamp_lens(const Part& part);

/// Makes the parts differ from the drawing as those of good products do.
void apply_tolerance(Parts& parts, Random random);

/// `Key::split` of the pictures below train/good, test/good and test/(first defect type).
enum : std::size_t { kTrainGood, kTestGood, kFirstDefect };

/// Names a picture, which is a function of its key and size alone.
struct Key {
  std::uint64_t seed;
  std::size_t domain;
  std::size_t category;
  std::size_t split;
  std::uint64_t index;
};

struct Picture {
  cv::Mat3b image;
  cv::Mat1b mask;
};

/// With `intact`, the same specimen without its defect.
Picture render(const Key& key, int size, bool intact = false);

}  // namespace nagl::synthetic
