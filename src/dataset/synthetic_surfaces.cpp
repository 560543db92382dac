#include "synthetic_parts.h"

namespace nagl::synthetic {
namespace {

void weave(Canvas& canvas, Random random) {
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

void brush(Canvas& canvas, Random random) {
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

/// Lights a relief of the picture's size from the upper left.
void emboss(Canvas& canvas, const cv::Mat1f& relief, float strength) {
  const int last = relief.rows - 1;
  canvas.each([&](Point, int y, int x) {
    const float before = relief(std::max(y - 1, 0), std::max(x - 1, 0));
    const float after = relief(std::min(y + 1, last), std::min(x + 1, last));
    canvas.colour(y, x) *= 1.0F + strength * (after - before) / canvas.unit;
  });
}

void grain(Canvas& canvas, Random random) {
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

void hole(Canvas& canvas, const Look& look, Random random, float severity) {
  const Noise noise(random);
  const float radius = std::max(draw(random, 5.5F, 7.0F) + 15.0F * severity, 2.5F * canvas.unit);
  const Shape torn = blob(draw_point(random, 90.0F, 422.0F), radius, look.fray, noise);
  const float lip = 2.2F + 1.3F * severity;
  block(canvas, torn, {2.0F * lip, -0.16F}, [&](Point p, float depth, const Colour& under) {
    const Colour rim =
        mix(under, rgb(look.rim), 0.35F + 0.35F * severity + 0.3F * noise(p.x / 2, p.y / 2));
    const Colour floor = mix(0.5F * under, rgb(look.hole), 0.5F + 0.5F * severity) *
                         (1.0F + 0.3F * noise(p.x / 4, p.y / 4));
    return mix(rim, floor, ramp(lip - 1.0F, lip + 1.0F, depth));
  });
  mark(canvas, torn);
}

void discolour(Canvas& canvas, const Look& look, Random random, float severity) {
  const Noise noise(random);
  const float radius = draw(random, 26.0F, 34.0F) + 34.0F * severity;
  const Shape area = blob(draw_point(random, 120.0F, 392.0F), radius, 0.6F, noise);
  const float strength = 0.34F + 0.61F * severity;
  fill(canvas, area, [&](Point, float depth, const Colour& under) {
    return mix(under, under.mul(rgb(look.tint)), strength * ramp(-1.0F, 5.0F, depth));
  });
  mark(canvas, area);
}

}  // namespace

void scratch(Canvas& canvas, const Look& look, Random random, float severity) {
  const Noise noise(random);
  const Point middle = draw_point(random, 150.0F, 362.0F);
  const Point reach =
      rotate({draw(random, 34.0F, 44.0F) + 70.0F * severity, 0.0F}, draw(random, 0.5F, kPi - 0.5F));
  const Point bow = Point(-reach.y, reach.x) * draw(random, -0.4F, 0.4F);
  const float half = std::max(1.3F + 1.5F * severity, 0.75F * canvas.unit);
  std::vector<Point> path;
  for (float t = 0; t <= 20; ++t) {
    const Point there = mix(middle - reach, middle + bow, t / 20);
    path.push_back(mix(there, mix(middle + bow, middle + reach, t / 20), t / 20));
  }
  const Shape line = stroke(path, half, 0.45F);
  const float strength = 0.42F + 0.5F * severity;
  const Colour worn = rgb(look.scratch);
  block(canvas, line, {half, -0.14F * strength}, [&](Point p, float, const Colour& under) {
    const float wear = 0.85F + 0.3F * noise(p.x / 6, p.y / 6);
    return mix(under, worn, std::min(1.0F, strength * wear));
  });
  mark(canvas, line);
}

void stain(Canvas& canvas, const Look& look, Random random, float severity) {
  const Noise noise(random);
  const float radius = draw(random, 16.0F, 22.0F) + 24.0F * severity;
  const Point middle = draw_point(random, 130.0F, 382.0F);
  const float strength = 0.34F + 0.53F * severity;
  const Colour dirt = rgb(look.stain);
  const auto spot = [&](Point centre, float size) {
    const Shape shape = blob(centre, size, 0.55F, noise);
    fill(canvas, shape, [&](Point p, float depth, const Colour& under) {
      const float ring = ramp(9.0F, 2.0F, depth);  // dried rim
      const float cloud = 0.75F + 0.3F * noise.fractal(p.x / 18, p.y / 18, 2);
      const float density = strength * ramp(-1.0F, 3.0F, depth) * (cloud + 0.35F * ring);
      const Colour film = mix(under.mul(dirt), 0.75F * dirt, 0.5F);
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

Domain surfaces() {
  return {"surfaces",
          {{"woven", 0, weave, {}, {0xF1EEE6, 0x8A6A48, 0xFFB08A, 0x16181C, 0xDAD6CC, 0.7F}},
           {"brushed", 1, brush, {}, {0xF6F5F2, 0x7A6C58, 0xE8C078, 0x1B1C1E, 0xEDEDEA, 0.12F}},
           {"leather", 2, grain, {}, {0xD2A47C, 0x59504A, 0x9AA0B8, 0x150D09, 0xB98258, 0.45F}}},
          {{"scratch", nullptr, scratch},
           {"stain", nullptr, stain},
           {"hole", nullptr, hole},
           {"colour", nullptr, discolour}}};
}

}  // namespace nagl::synthetic
