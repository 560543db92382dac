#include "synthetic_parts.h"

namespace nagl::synthetic {
namespace {

const Colour kTin = rgb(0xC4C6C8);
const Colour kGold = rgb(0xC9A24B);
const Colour kSilk = rgb(0xE9EDE6);

void pad(Canvas& canvas, const Shape& shape) { block(canvas, shape, {2.5F, 0.22F}, kTin); }

/// Calls `visit(side, offset along it)` for each pin of a chip, left (-1) and right (1).
template <typename Visit>
void each_pin(const Part& part, const Visit& visit) {
  const auto count = static_cast<float>(floor_int(2.0F * (part.half.y - 8.0F) / 11.0F));
  for (float i = 0; i < count; ++i) {
    for (const float side : {-1.0F, 1.0F}) visit(side, (i - 0.5F * (count - 1)) * 11.0F);
  }
}

void chip_pads(Canvas& canvas, const Part& part) {
  each_pin(part, [&](float side, float y) {
    pad(canvas, part.piece(side * (part.half.x - 3.0F), y, 5.0F, 3.2F, 1.0F));
  });
}

Shape chip_shell(const Part& part) {
  return part.piece(0.0F, 0.0F, part.half.x - 9.0F, part.half.y, 2.5F);
}

void chip(Canvas& canvas, const Part& part) {
  const float body = part.half.x - 9.0F;
  each_pin(part, [&](float side, float y) {
    const Shape pin = part.piece(side * (body + 4.0F), y, 5.5F, 2.0F, 0.8F);
    shadow(canvas, pin, 2.0F, 0.4F);
    fill(canvas, pin, [&](Point p, float, const Colour&) {
      const float bend = std::abs(part.axis().dot(p - part.centre)) - body;
      return kTin * (0.72F + 0.4F * ramp(1.0F, 4.0F, bend) - 0.3F * ramp(5.0F, 8.0F, bend));
    });
  });
  block(canvas, chip_shell(part), {5.0F, 0.13F, 5.0F}, part.colour);
  const Shape dot = disc(part.to_plane(10.0F - body, 10.0F - part.half.y), 3.4F);
  block(canvas, dot, {2.0F, -0.12F}, part.colour * 0.6F);
  draw_text(canvas, part.text, part.to_plane(0.0F, -4.0F), 9.0F, rgb(0x9FA3A6),
            part.angle + kPi / 2);
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
  block(canvas, part.outline(), {3.0F, 0.2F, 3.5F}, kTin * 0.97F);
  block(canvas, resistor_middle(part), {2.5F, 0.1F}, part.colour);
  draw_text(canvas, part.text, part.centre, 0.75F * part.half.y, kSilk * 0.92F, part.angle);
}

void can_pads(Canvas& canvas, const Part& part) {
  pad(canvas, part.piece(0.0F, 0.0F, part.half.x + 5.0F, 5.0F, 2.0F));
  fill(canvas, disc(part.centre, part.half.x + 4.0F),
       [](Point, float depth, const Colour& under) { return depth < 1.8F ? kSilk : under; });
}

void can(Canvas& canvas, const Part& part) {
  block(canvas, part.outline(), {5.0F, 0.25F, 11.0F, 0.6F},
        [&](Point p, float depth, const Colour&) {
          const Point q = part.to_part(p);
          const bool stripe = q.x < -0.45F * part.half.x && depth > 4.0F;
          const float sheen = 1.0F + 0.16F * std::sin(2.0F * std::atan2(q.y, q.x) + 0.8F);
          return (stripe ? rgb(0x2A2B30) : part.colour) * sheen;
        });
  for (const float turn : {0.0F, kPi / 2}) {
    fill(canvas, plate(part.centre, {0.42F * part.half.x, 0.9F}, 0.9F, part.angle + turn),
         part.colour * 0.62F);
  }
}

void crystal(Canvas& canvas, const Part& part) {
  block(canvas, part.outline(), {4.0F, 0.25F, 6.0F, 0.6F}, [&](Point p, float, const Colour&) {
    const float x = part.to_part(p).x / part.half.x;
    return part.colour * (0.92F + 0.16F * std::cos(3.0F * x + 0.6F));
  });
  bevel(canvas, part.outline(-5.0F), 2.5F, -0.14F);
  draw_text(canvas, part.text, part.centre, 8.0F, rgb(0x55585C), part.angle);
}

void header_holes(Canvas& canvas, const Part& part) {
  for (float x = 12.0F - part.half.x; x < part.half.x; x += 20.0F) {
    block(canvas, disc(part.to_plane(x, 0.0F), 6.5F), {2.5F, 0.2F}, kGold);
    fill(canvas, disc(part.to_plane(x, 0.0F), 3.2F), rgb(0x15201A));
  }
}

void header(Canvas& canvas, const Part& part) {
  block(canvas, part.outline(), {3.5F, 0.16F, 8.0F}, part.colour);
  for (float x = 12.0F - part.half.x; x < part.half.x; x += 20.0F) {
    block(canvas, part.piece(x, 0.0F, 8.0F, 8.0F, 1.5F), {2.5F, -0.1F}, part.colour * 0.7F);
    block(canvas, part.piece(x, 0.0F, 3.3F, 3.3F, 0.8F), {2.5F, 0.3F}, kGold);
  }
}

constexpr Kind kChip{chip_pads, chip, nullptr, chip_shell};
constexpr Kind kResistor{end_pads, resistor, nullptr, resistor_middle};
constexpr Kind kCan{can_pads, can};
constexpr Kind kCrystal{end_pads, crystal};
constexpr Kind kLamp{end_pads, lamp, nullptr, lamp_lens};
constexpr Kind kHeader{header_holes, header};

Parts board_parts() {
  const Colour ink = rgb(0x26282B);
  const Colour clay = rgb(0xB08D66);
  const Colour metal = rgb(0xB9BCC0);
  Parts parts = {
      {&kChip, {170, 176}, {66, 78}, 3, 0, ink, "NAGL-32"},
      {&kChip, {392, 168}, {40, 50}, 3, 0, ink, "LM2904"},
      {&kChip, {296, 330}, {38, 46}, 3, 0, ink, "74HC08"},
      {&kCrystal, {168, 304}, {38, 15}, 14, 0, metal, "16.000"},
      {&kCan, {92, 398}, {32, 32}, 32, 0, metal},
      {&kCan, {178, 404}, {25, 25}, 25, 0, metal},
      {&kHeader, {346, 444}, {102, 15}, 2, 0, rgb(0x33353A)},
      {&kLamp, {440, 296}, {13, 10}, 2, 0, rgb(0xC8352B)},
      {&kLamp, {440, 336}, {13, 10}, 2, 0, rgb(0x58B848)},
  };
  for (float k = 0; k < 5; ++k) {
    parts.push_back({&kResistor, {298, 96 + 32 * k}, {17, 9}, 1.5F, 0, ink, "103"});
  }
  for (float k = 0; k < 4; ++k) {
    parts.push_back({&kResistor, {372 + 22 * k, 76}, {14, 7.5F}, 2, kPi / 2, clay});
  }
  for (float k = 0; k < 3; ++k) {
    parts.push_back({&kResistor, {76, 290 + 24 * k}, {14, 7.5F}, 2, 0, clay});
    parts.push_back({&kResistor, {374, 306 + 24 * k}, {14, 7.5F}, 2, 0, ink});
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
  block(canvas, stroke(points, 1.9F), {1.6F, 0.06F}, rgb(0x2E8A55));
}

/// Fans of parallel tracks, some of which end in holes.
void tracks(Canvas& canvas) {
  for (float k = 0; k < 7; ++k) {
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
  for (float k = 0; k < 4; ++k) {
    const float right = 456 + 6 * k;
    track(canvas, {372 + 22 * k, 90, 372 + 22 * k, 106 + 2 * k, right - 16, 130 + 2 * k, right, 140,
                   right, 250 + 7 * k});
    via(canvas, {right, 250 + 7 * k});
    track(canvas, {320, 104 + 32 * k, 338, 104 + 32 * k, 350, 138 + 12 * k, 356, 138 + 12 * k});
  }
  for (float k = 0; k < 3; ++k) {
    const float y = 330 + 9 * k;
    track(canvas, {92, 290 + 24 * k, 112, 290 + 24 * k, 126, y, 236 - 8 * k, y});
    via(canvas, {236 - 8 * k, y});
  }
}

void board_ground(Canvas& canvas, Random random) {
  body_on_table(canvas, random, plate(kCentre, {234, 234}, 10), rgb(0xB5B4B0), rgb(0x1F6E42),
                0.03F);
  tracks(canvas);
  for (const Point corner : {Point(46, 46), Point(466, 46), Point(46, 466), Point(466, 466)}) {
    block(canvas, disc(corner, 15), {3, 0.2F}, kGold);
    block(canvas, disc(corner, 9), {5, -0.35F}, rgb(0x8D8C88));
  }
  draw_text(canvas, "NAGL CTRL", {160, 62}, 15, kSilk);
  draw_text(canvas, "REV 2.1", {288, 62}, 9, kSilk);
  const std::vector<std::pair<const char*, Point>> labels = {
      {"U1", {240, 104}}, {"U2", {440, 118}}, {"U3", {336, 276}},
      {"Y1", {222, 300}}, {"C1", {92, 354}},  {"C2", {178, 366}},
      {"J1", {228, 444}}, {"D1", {464, 312}}, {"R1", {298, 78}}};
  for (const auto& [text, at] : labels) draw_text(canvas, text, at, 8, kSilk);
}

}  // namespace

Shape lamp_lens(const Part& part) {
  return disc(part.centre, std::min(part.half.x, part.half.y) - 2.5F);
}

void lamp(Canvas& canvas, const Part& part) {
  block(canvas, part.outline(), {3.0F, 0.15F, 4.0F}, rgb(0xE4E0D4));
  const float radius = std::min(part.half.x, part.half.y) - 2.5F;
  block(canvas, disc(part.centre, radius), {radius, 0.22F}, part.colour);
  fill(canvas, disc(part.to_plane(-0.35F * radius, -0.4F * radius), 0.24F * radius),
       mix(part.colour, Colour::all(1.0F), 0.75F));
}

Category board() { return {"board", 3, board_ground, board_parts(), {0xD8C79A, 0xF0D49A}}; }

}  // namespace nagl::synthetic
