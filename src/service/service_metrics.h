#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "nagl/detection/verdict.h"

namespace nagl::service {

/// What a service counts, as Prometheus reads it (text format 0.0.4). Safe to use from several
/// threads.
class ServiceMetrics {
 public:
  /// Of an image score's quantiles, the last so many pictures of a bank count.
  static constexpr std::size_t kWindow = 1000;
  static constexpr std::array kBounds{0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0};

  /// @param banks those that there are, so that all have their lines from the start
  explicit ServiceMetrics(const std::vector<std::string>& banks);

  /// A request to score was answered. @param bank empty: one that there is not
  /// @param seconds from its first byte to the answer
  void answered(const std::string& bank, int status, double seconds);
  void scored(const std::string& bank, double image_score, Verdict verdict);
  /// Pictures of a bank are no longer what it was calibrated with.
  void drifted(const std::string& bank);

  /// @param waiting pictures that wait @param facts name and value of constant labels of
  ///        `nagl_info`
  std::string text(std::size_t waiting,
                   const std::vector<std::pair<std::string, std::string>>& facts) const;

 private:
  struct Counts {
    std::map<int, std::uint64_t> requests;                       ///< by status
    std::array<std::uint64_t, kBounds.size() + 1> seconds_by{};  ///< not cumulated
    double seconds = 0;
    std::deque<double> recent;  ///< image scores
    double scores = 0;
    std::uint64_t pictures = 0;
    std::map<Verdict, std::uint64_t> verdicts;
    std::uint64_t drifts = 0;
  };

  mutable std::mutex mutex_;
  std::map<std::string, Counts> banks_;
};

}  // namespace nagl::service
