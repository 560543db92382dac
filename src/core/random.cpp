#include "nagl/core/random.h"

#include <cmath>
#include <numbers>
#include <numeric>
#include <stdexcept>

namespace nagl {
namespace {

constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15ULL;

std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

}  // namespace

Random::Random(std::uint64_t seed, std::uint64_t epoch, std::uint64_t step, std::uint64_t slot)
    : state_(0) {
  for (const std::uint64_t part : {seed, epoch, step, slot}) {
    state_ = mix(state_ + kGolden + part);
  }
}

std::uint64_t Random::next() {
  state_ += kGolden;
  return mix(state_);
}

double Random::uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

double Random::uniform(double low, double high) { return low + (high - low) * uniform(); }

std::int64_t Random::integer(std::int64_t count) {
  if (count < 1) throw std::invalid_argument("Random::integer needs a count of at least 1");
  const auto n = static_cast<std::uint64_t>(count);
  const std::uint64_t rejected = (0 - n) % n;  // 2^64 mod n
  std::uint64_t value = next();
  while (value < rejected) value = next();
  return static_cast<std::int64_t>(value % n);
}

double Random::normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

std::vector<std::int64_t> Random::choose(std::int64_t count, std::int64_t k) {
  if (k < 0 || k > count) throw std::invalid_argument("Random::choose needs 0 <= k <= count");
  std::vector<std::int64_t> values(static_cast<std::size_t>(count));
  std::iota(values.begin(), values.end(), 0);
  for (std::int64_t i = 0; i < k; ++i) {
    std::swap(values[static_cast<std::size_t>(i)],
              values[static_cast<std::size_t>(i + integer(count - i))]);
  }
  values.resize(static_cast<std::size_t>(k));
  return values;
}

}  // namespace nagl
