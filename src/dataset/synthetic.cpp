#include "nagl/dataset/synthetic.h"

#include <fmt/format.h>

#include <bit>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "nagl/core/atomic_file.h"
#include "nagl/core/error.h"
#include "synthetic_parts.h"

namespace nagl {
namespace synthetic {

const std::vector<Domain>& domains() {
  static const std::vector<Domain> all = {surfaces(), products()};
  return all;
}

namespace {

/// 1, 0.5, 0.75, 0.25, 0.875, ...: any number of pictures covers the whole range.
float severity_of(std::uint64_t index) {
  float inverse = 0.0F;
  for (float digit = 0.5F; index != 0; index >>= 1, digit *= 0.5F) {
    if ((index & 1) != 0) inverse += digit;
  }
  return 1.0F - inverse;
}

void add_noise(cv::Mat3b row, Random random) {
  for (cv::Vec3b& pixel : row) {
    const std::uint64_t bits = random.next();
    for (int channel = 0; channel < 3; ++channel) {
      // the number of ones in 21 random bits is nearly normal
      const int ones = std::popcount(bits >> (21 * channel) & 0x1FFFFF);
      pixel[channel] = cv::saturate_cast<std::uint8_t>(pixel[channel] + 3 * (2 * ones - 21) / 8);
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
    for (int y = range.start; y < range.end; ++y) {
      add_noise(picture.row(y), Random(roll, static_cast<std::uint64_t>(y)));
    }
  });
  return picture;
}

}  // namespace

Picture render(const Key& key, int size, bool intact) {
  const Domain& domain = domains().at(key.domain);
  const Category& category = domain.categories.at(key.category);
  const bool good = intact || key.split < kFirstDefect;
  const Defect defect = good ? Defect() : domain.defects.at(key.split - kFirstDefect);
  const float severity = severity_of(key.index);

  // Each aspect has random numbers of its own, so that a defect changes nothing else.
  enum Aspect : std::uint64_t { kCamera, kGround, kParts, kLight, kNoise, kDefect };
  const auto random = [&](Aspect aspect) {
    return Random(key.seed, category.id, key.split << 32 | key.index, aspect);
  };
  Random camera = random(kCamera);
  const float angle = draw(camera, -0.02F, 0.02F);
  Canvas canvas(size, angle, draw_point(camera, -5.0F, 5.0F));
  category.ground(canvas, random(kGround));

  Parts parts = category.parts;
  apply_tolerance(parts, random(kParts));
  if (defect.alter != nullptr) defect.alter(canvas, parts, random(kDefect), severity);
  for (const Part& part : category.parts) part.kind->seat(canvas, part);
  for (const Part& part : parts) {
    if (part.kept > 0.0F) part.kind->body(canvas, part);
  }
  for (const Part& part : category.parts) {
    if (part.kind->cover != nullptr) part.kind->cover(canvas, part);
  }
  if (defect.overlay != nullptr) {
    defect.overlay(canvas, category.look, random(kDefect), severity);
  }
  return {photograph(canvas, random(kLight), random(kNoise)), canvas.mask};
}

}  // namespace synthetic

namespace {

namespace fs = std::filesystem;

/// Huffman coding alone: noise has no repetitions for the rest of PNG compression to find.
void write_noisy_png(const fs::path& path, const cv::Mat& picture) {
  std::vector<std::uint8_t> bytes;
  if (!cv::imencode(".png", picture, bytes,
                    {cv::IMWRITE_PNG_STRATEGY, cv::IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY})) {
    throw DataError("cannot encode '" + path.string() + "' as PNG");
  }
  AtomicFile file(path);
  file.write(bytes.data(), bytes.size());
  file.commit();
}

void refuse_used_folder(const fs::path& folder) {
  std::error_code error;
  if (!fs::exists(folder, error)) return;
  if (!fs::is_directory(folder, error) || !fs::is_empty(folder, error)) {
    throw ConfigError("'" + folder.string() +
                      "' is not an empty folder; choose an empty or new folder");
  }
}

/// Writes a picture and, if it shows a defect, its mask.
void write_picture(const fs::path& out, const synthetic::Key& key, int size) {
  const synthetic::Domain& domain = synthetic::domains()[key.domain];
  const fs::path root = out / domain.name / domain.categories[key.category].name;
  const auto [image, mask] = synthetic::render(key, size);
  std::string folder = key.split == synthetic::kTrainGood ? "train/good" : "test/good";
  if (key.split >= synthetic::kFirstDefect) {
    const std::string type = domain.defects[key.split - synthetic::kFirstDefect].name;
    write_noisy_png(root / "ground_truth" / type / fmt::format("{:03}_mask.png", key.index), mask);
    folder = "test/" + type;
  }
  write_noisy_png(root / folder / fmt::format("{:03}.png", key.index), image);
}

void check_range(const char* name, int value, int low, int high) {
  if (value >= low && value <= high) return;
  throw ConfigError(
      fmt::format("synthetic dataset: {} is {}, must be {} to {}", name, value, low, high));
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
    for (const synthetic::Domain& domain : synthetic::domains()) {
      SyntheticDomain& entry = result.emplace_back();
      entry.name = domain.name;
      for (const auto& category : domain.categories) entry.categories.push_back(category.name);
      for (const auto& defect : domain.defects) entry.defects.push_back(defect.name);
    }
    return result;
  }();
  return all;
}

void write_synthetic_dataset(const std::filesystem::path& out, const SyntheticOptions& options,
                             const SyntheticProgress& progress) {
  options.check();
  std::vector<synthetic::Key> keys;
  const auto& domains = synthetic::domains();
  for (std::size_t d = 0; d < domains.size(); ++d) {
    refuse_used_folder(out / domains[d].name);
    for (std::size_t c = 0; c < domains[d].categories.size(); ++c) {
      for (std::size_t s = 0; s < synthetic::kFirstDefect + domains[d].defects.size(); ++s) {
        const int count = s == synthetic::kTrainGood  ? options.train_good
                          : s == synthetic::kTestGood ? options.test_good
                                                      : options.test_defect;
        for (int i = 0; i < count; ++i) {
          keys.push_back({options.seed, d, c, s, static_cast<std::uint64_t>(i)});
        }
      }
    }
  }
  for (std::size_t done = 0; done < keys.size();) {
    write_picture(out, keys[done], options.size);
    ++done;
    if (progress) progress(done, keys.size());
  }
}

}  // namespace nagl
