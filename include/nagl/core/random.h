#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace nagl {

/// Random numbers keyed by (seed, epoch, step, slot): the sequence is a pure function of the key,
/// on every platform, independent of threads and of where a run was resumed. SplitMix64 (Steele,
/// Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014) started from the
/// hashed key.
class Random {
 public:
  explicit Random(std::uint64_t seed, std::uint64_t epoch = 0, std::uint64_t step = 0,
                  std::uint64_t slot = 0);

  /// 64 uniform bits.
  std::uint64_t next();

  /// Uniform in [0, 1), 53 bits.
  double uniform();

  /// Uniform in [low, high).
  double uniform(double low, double high);

  /// Uniform in {0, ..., count - 1}, without modulo bias. Throws std::invalid_argument if count
  /// < 1.
  std::int64_t integer(std::int64_t count);

  /// Standard normal (Box-Muller).
  double normal();

  /// `k` distinct values of {0, ..., count - 1}, in random order (partial Fisher-Yates).
  /// Throws std::invalid_argument if k is not in [0, count].
  std::vector<std::int64_t> choose(std::int64_t count, std::int64_t k);

  /// `k` distinct members of `from`, in random order. Throws as `choose`.
  template <typename T>
  std::vector<T> choose_of(const std::vector<T>& from, std::int64_t k) {
    std::vector<T> chosen;
    for (const auto i : choose(static_cast<std::int64_t>(from.size()), k)) {
      chosen.push_back(from[static_cast<std::size_t>(i)]);
    }
    return chosen;
  }

  template <typename T>
  void shuffle(std::vector<T>& values) {
    for (std::size_t i = values.size(); i > 1; --i) {
      const auto j = static_cast<std::size_t>(integer(static_cast<std::int64_t>(i)));
      std::swap(values[i - 1], values[j]);
    }
  }

 private:
  std::uint64_t state_;
};

}  // namespace nagl
