#include <algorithm>
#include <array>

#include "synthetic_parts.h"

namespace nagl::synthetic {
namespace {

void pocket(Canvas& canvas, const Part& part) {
  block(canvas, part.outline(13.0F), {7.0F, -0.24F}, [](Point, float depth, const Colour& under) {
    return under * (0.86F - 0.2F * ramp(2.0F, 16.0F, depth));
  });
}

constexpr float kSeam = 4.0F;  // where the two colours of a pill meet

/// Where a broken pill ends.
Point break_edge(const Part& part) {
  return part.to_plane(part.half.x * (2.0F * part.kept - 1.0F), 0.0F);
}

void pill(Canvas& canvas, const Part& part) {
  const Shape whole = part.outline();
  const Shape shape = part.kept < 1.0F ? cut(whole, break_edge(part), part.axis()) : whole;
  const Colour ivory = rgb(0xEFE8D8);
  block(canvas, shape, {part.half.y, 0.13F, 6.0F, 0.5F}, [&](Point p, float depth, const Colour&) {
    const Point q = part.to_part(p);
    const float seam = ramp(-0.8F, 0.8F, q.x - kSeam);
    const float lip = q.x > kSeam - 2.0F && q.x < kSeam ? 0.9F : 1.0F;
    const float round = std::sqrt(std::clamp(depth / part.half.y, 0.0F, 1.0F));
    return mix(part.colour, ivory, seam) * (lip * (0.55F + 0.45F * round));
  });
}

void dome(Canvas& canvas, const Part& part) {
  const Shape glare = part.piece(-8.0F, -0.62F * part.half.y, 0.55F * part.half.x, 2.2F, 2.2F);
  fill(canvas, glare, [](Point, float depth, const Colour& under) {
    return mix(under, Colour::all(1.0F), 0.6F * ramp(-0.5F, 2.0F, depth));
  });
  fill(canvas, part.outline(12.0F), [&](Point p, float depth, const Colour& under) {
    const float side = (p.x - part.centre.x) / 60 + (p.y - part.centre.y) / 30;
    const float glow = ramp(4.0F, 2.0F, depth) * ramp(0.0F, 1.0F, depth);
    return under + Colour::all(0.22F * glow * ramp(0.4F, 1.4F, side));
  });
}

Shape pill_dye(const Part& part) {
  return cut(part.outline(), part.to_plane(kSeam, 0.0F), part.axis());
}

constexpr Kind kPill{pocket, pill, dome, pill_dye};

Parts blister_parts() {
  Parts parts;
  for (int i = 0; i < 15; ++i) {
    const Point at(110 + 146 * (i % 3), 80 + 84 * (i / 3));
    parts.push_back({&kPill, at, {44, 17}, 17, 0, rgb(0xB8352C)});
  }
  return parts;
}

void blister(Canvas& canvas, Random random) {
  const Shape body = plate(kCentre, {226, 232}, 22);
  body_on_table(canvas, random, body, rgb(0x2E3A4C), rgb(0xB4B8BD), 0.0F);
  const Noise noise(random);
  fill(canvas, body, [&](Point p, float, const Colour& under) {
    const float diamond = std::sin(0.9F * (p.x + p.y)) * std::sin(0.9F * (p.x - p.y));
    const float crease = noise.fractal(p.x / 24, p.y / 24, 2);
    return under * (1.0F + 0.05F * diamond + 0.09F * crease);
  });
  draw_text(canvas, "NAGLAMOL 250 mg", {190, 470}, 9, rgb(0x4B5A78));
  draw_text(canvas, "LOT 7041", {400, 470}, 9, rgb(0x4B5A78));
}

void key_well(Canvas& canvas, const Part& part) {
  block(canvas, part.outline(3.5F), {4.0F, -0.1F}, rgb(0x17181A));
  block(canvas, disc(part.centre, 12.0F), {4.0F, 0.1F}, rgb(0x5A5248));
}

void key(Canvas& canvas, const Part& part) {
  block(canvas, part.outline(), {6.0F, 0.2F, 4.0F}, part.colour);
  fill(canvas, part.outline(-7.0F), [&](Point p, float, const Colour& under) {
    const Point q = p - part.centre;
    return under * (1.02F + 0.0016F * (q.x + 1.4F * q.y));  // slightly hollow
  });
  const bool dark = part.colour[1] < 0.56F;
  draw_text(canvas, part.text, part.centre, part.text.size() > 1 ? 12.0F : 19.0F,
            dark ? rgb(0xF0EEE8) : rgb(0x2A2C30), part.angle);
}

void screw_hole(Canvas& canvas, const Part& part) {
  bevel(canvas, part.outline(2.0F), 4.0F, -0.12F);
  fill(canvas, part.outline(-4.0F), rgb(0x101113));
}

void screw(Canvas& canvas, const Part& part) {
  block(canvas, part.outline(), {5.0F, 0.25F, 3.0F}, part.colour);
  for (const float turn : {0.0F, kPi / 2}) {
    fill(canvas, plate(part.centre, {6.5F, 1.7F}, 1.0F, part.angle + turn), part.colour * 0.35F);
  }
}

void lamp_seat(Canvas& canvas, const Part& part) {
  block(canvas, part.outline(-2.0F), {3.0F, -0.12F}, rgb(0x24262A));
}

constexpr Kind kKey{key_well, key};
constexpr Kind kScrew{screw_hole, screw};
constexpr Kind kLamp{lamp_seat, lamp, nullptr, lamp_lens};

Parts keypad_parts() {
  Parts parts;
  for (const char* text :
       {"1", "2", "3", "C", "4", "5", "6", "+", "7", "8", "9", "-", "*", "0", "#", "OK"}) {
    const std::size_t i = parts.size();
    const Point at(118 + 92 * (i % 4), 186 + 80 * (i / 4));
    const unsigned hex = i == 3 ? 0xB63A30 : i == 15 ? 0x2F7F58 : i % 4 == 3 ? 0xD9A441 : 0xD8D5CC;
    parts.push_back({&kKey, at, {38, 31}, 7, 0, rgb(hex), text});
  }
  for (const Point at : {Point(62, 46), Point(450, 46), Point(62, 470), Point(450, 470)}) {
    parts.push_back({&kScrew, at, {11, 11}, 11, 0.4F, rgb(0xA8ABAE)});
  }
  parts.push_back({&kLamp, {432, 76}, {10, 10}, 10, 0, rgb(0xD0452F)});
  parts.push_back({&kLamp, {432, 104}, {10, 10}, 10, 0, rgb(0x5FBF4A)});
  return parts;
}

void keypad(Canvas& canvas, Random random) {
  const Shape body = plate(kCentre, {222, 238}, 26);
  body_on_table(canvas, random, body, rgb(0xC7B79D), rgb(0x4A4F57), 0.07F);
  bevel(canvas, body, 12.0F, 0.1F);
  block(canvas, plate({236, 88}, {162, 42}, 8), {4.0F, -0.14F}, rgb(0x1C1E21));
  block(canvas, plate({236, 88}, {150, 31}, 3), {5.0F, -0.2F}, [](Point p, float, const Colour&) {
    const float glare = ramp(0.0F, 60.0F, p.x - p.y) * ramp(130.0F, 70.0F, p.x - p.y);
    return mix(rgb(0x8FA383), Colour::all(1.0F), 0.05F + 0.14F * glare);
  });
  draw_text(canvas, "8888.88", {270, 90}, 28, rgb(0x7E9174));
}

/// One of the parts; the more severe, the larger.
Part& pick(Parts& parts, Random& random, float severity) {
  std::vector<Part*> order;
  for (Part& part : parts) order.push_back(&part);
  random.shuffle(order);
  std::stable_sort(order.begin(), order.end(), [](const Part* a, const Part* b) {
    return a->half.x * a->half.y < b->half.x * b->half.y;
  });
  const double rank = severity * static_cast<double>(order.size()) - random.uniform();
  const auto last = static_cast<double>(order.size() - 1);
  return *order[static_cast<std::size_t>(std::clamp(rank, 0.0, last))];
}

void missing(Canvas& canvas, Parts& parts, Random random, float severity) {
  Part& part = pick(parts, random, severity);
  const bool broken = part.kind == &kPill && severity < 0.6F;
  part.kept = broken ? draw(random, 0.35F, 0.5F) + 0.6F * (0.6F - severity) : 0.0F;
  mark(canvas, broken ? cut(part.outline(), break_edge(part), -part.axis()) : part.outline());
}

void displaced(Canvas& canvas, Parts& parts, Random random, float severity) {
  Part& part = pick(parts, random, draw(random, 0.0F, 1.0F));
  mark(canvas, part.outline());
  const float turn = random.integer(2) == 0 ? -1.0F : 1.0F;
  const float reach = part.kind == &kPill ? 4.0F : 5.0F + 7.0F * severity;
  part.angle += turn * (0.09F + draw(random, 0.25F, 0.4F) * severity);
  part.centre += rotate({reach, 0.0F}, draw(random, 0.0F, 2.0F * kPi));
  mark(canvas, part.outline());
}

void recolour(Canvas& canvas, Parts& parts, Random random, float severity) {
  Part& part = pick(parts, random, draw(random, 0.2F, 1.0F));
  const std::array<Colour, 4> wrong = {rgb(0x3F6FB5), rgb(0xC0672A), rgb(0x7B4A9A), rgb(0x4F8F3F)};
  const Colour& other = wrong[static_cast<std::size_t>(random.integer(4))];
  part.colour = mix(part.colour, other, 0.4F + 0.6F * severity);
  mark(canvas, part.kind->dyed != nullptr ? part.kind->dyed(part) : part.outline());
}

}  // namespace

void body_on_table(Canvas& canvas, Random random, const Shape& body, const Colour& table,
                   const Colour& colour, float texture) {
  const Noise noise(random);
  canvas.each([&](Point p, int y, int x) {
    if (body.distance(p) < -canvas.unit) return;
    canvas.colour(y, x) = table * (1.0F + 0.05F * noise.fractal(p.x / 40, p.y / 40, 3));
  });
  block(canvas, body, {4.0F, 0.16F, 9.0F}, [&](Point p, float, const Colour&) {
    const float cloud = 0.05F * noise.fractal(p.x / 120, p.y / 120, 2);
    return colour * (1.0F + cloud + texture * noise(0.8F * p.x, 0.8F * p.y));
  });
}

void apply_tolerance(Parts& parts, Random random) {
  for (Part& part : parts) {
    const float play = part.kind == &kPill ? 1.6F : 0.6F;
    part.centre += draw_point(random, -play, play);
    part.angle += draw(random, -0.018F, 0.018F) * play;
    part.colour *= draw(random, 0.96F, 1.04F);
    const float spin = draw(random, 0.0F, 2.0F * kPi);
    if (part.kind == &kScrew) part.angle = spin;
    if (part.kind == &kPill && spin < kPi) part.angle += kPi;
  }
}

Domain products() {
  return {"products",
          {board(),
           {"blister", 4, blister, blister_parts(), {0x4A4C50, 0x8C6A3E}},
           {"keypad", 5, keypad, keypad_parts(), {0xB9B7B0, 0x7C6240}}},
          {{"missing", missing},
           {"displaced", displaced},
           {"colour", recolour},
           {"scratch", nullptr, scratch},
           {"stain", nullptr, stain}}};
}

}  // namespace nagl::synthetic
