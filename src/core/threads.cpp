#include "nagl/core/threads.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>
#include <string>
#include <thread>

namespace nagl {
namespace {

namespace fs = std::filesystem;

template <typename T>
std::optional<T> read_from(const fs::path& path) {
  std::ifstream file(path);
  T value{};
  return file >> value ? std::optional<T>(value) : std::nullopt;
}

std::vector<int> allowed_numbers() {
  std::vector<int> allowed;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    for (int i = 0; i < CPU_SETSIZE; ++i) {
      if (CPU_ISSET(i, &set)) allowed.push_back(i);
    }
  }
  const int known = static_cast<int>(std::thread::hardware_concurrency());
  for (int i = 0; allowed.empty() && i < known; ++i) allowed.push_back(i);
  return allowed;
}

/// At most what the control group may use, at least 1.
int within_quota(int processors) {
  if (const auto quota = processor_quota("/sys/fs/cgroup")) {
    processors = std::min(processors, static_cast<int>(std::ceil(*quota)));
  }
  return std::max(processors, 1);
}

}  // namespace

int physical_cores(const fs::path& cpus, const std::vector<int>& allowed) {
  std::set<std::string> cores;
  for (const int number : allowed) {
    const fs::path topology = cpus / ("cpu" + std::to_string(number)) / "topology";
    // Threads of one core have the same list of siblings.
    auto siblings = read_from<std::string>(topology / "thread_siblings_list");
    cores.insert(siblings ? *siblings : std::to_string(number));
  }
  return static_cast<int>(cores.size());
}

std::optional<double> processor_quota(const fs::path& groups) {
  std::ifstream file(groups / "cpu.max");
  std::string quota;
  double period = 0;
  if (file >> quota >> period) {
    if (quota == "max" || period <= 0) return std::nullopt;
    return std::stod(quota) / period;
  }
  const auto time = read_from<double>(groups / "cpu/cpu.cfs_quota_us");
  const auto of = read_from<double>(groups / "cpu/cpu.cfs_period_us");
  if (!time || !of || *time <= 0 || *of <= 0) return std::nullopt;
  return *time / *of;
}

int usable_processors() { return within_quota(static_cast<int>(allowed_numbers().size())); }

int sensible_threads() {
  return within_quota(physical_cores("/sys/devices/system/cpu", allowed_numbers()));
}

}  // namespace nagl
