#include "nagl/core/work_share.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include "nagl/core/atomic_file.h"
#include "nagl/core/error.h"
#include "nagl/core/text.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

/// What tells a process which of how many it is. The innermost launcher comes first: torchrun may
/// be started by Slurm.
struct Launcher {
  const char *name, *index, *count, *local_rank;
};
constexpr std::array kLaunchers = {
    Launcher{"torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK"},
    Launcher{"Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
             "OMPI_COMM_WORLD_LOCAL_RANK"},
    Launcher{"MPICH", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"},
    Launcher{"Slurm", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"},
    Launcher{"Kubernetes", "JOB_COMPLETION_INDEX", "JOB_COMPLETIONS", ""}};

constexpr double kGoldenRatio = 0.6180339887498949;

std::optional<std::int64_t> number_in(const std::function<const char*(const char*)>& variable,
                                      const char* name) {
  const char* text = *name == '\0' ? nullptr : variable(name);
  if (text == nullptr || *text == '\0') return std::nullopt;
  const auto number = whole_number(text);
  if (!number || *number < 0) {
    throw ConfigError(fmt::format("--shard auto: ${} is '{}', which is no number", name, text));
  }
  return number;
}

Shard checked(Shard shard, const std::string& where) {
  if (shard.count > 0 && shard.index >= shard.count) {
    throw ConfigError(
        fmt::format("{}: shard {} of {}; shards are counted from 0, so the last is {}", where,
                    shard.index, shard.count, shard.count - 1));
  }
  return shard;
}

Shard shard_of_launcher(const std::function<const char*(const char*)>& variable) {
  std::string names;
  for (const auto& launcher : kLaunchers) {
    if (!names.empty()) names += ", ";
    names += launcher.index;
    const auto index = number_in(variable, launcher.index);
    if (!index) continue;
    Shard shard{*index, number_in(variable, launcher.count).value_or(0),
                number_in(variable, launcher.local_rank)};
    checked(shard, fmt::format("--shard auto, by the variables of {}", launcher.name));
    if (std::strcmp(launcher.name, "Slurm") != 0) return shard;
    // An array of jobs, each of which may have several tasks.
    const auto job = number_in(variable, "SLURM_ARRAY_TASK_ID");
    const auto first = number_in(variable, "SLURM_ARRAY_TASK_MIN").value_or(0);
    const auto jobs = number_in(variable, "SLURM_ARRAY_TASK_COUNT");
    if (!job || !jobs || *job < first || shard.count < 1) return shard;
    shard.index += (*job - first) * shard.count;
    shard.count *= *jobs;
    if (shard.index >= shard.count) shard.count = 0;  // an array with gaps
    return shard;
  }
  throw ConfigError(fmt::format("--shard auto: none of {} is set; give --shard I/N", names));
}

std::string owner_name() {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  std::random_device random;
  return fmt::format("{} {} {:08x}", host.data(), ::getpid(), random());
}

/// A claim's text; empty if there is none, or it cannot be read.
std::string read_claim(const fs::path& path) {
  constexpr std::size_t kLongest = 1024;
  try {
    return read_file(path, kLongest);
  } catch (const Error&) {
    return {};
  }
}

}  // namespace

Shard parse_shard(const std::string& text,
                  const std::function<const char*(const char*)>& variable) {
  const auto by_name = [&](const char* name) -> const char* {
    return variable ? variable(name) : std::getenv(name);
  };
  if (text == "auto") return shard_of_launcher(by_name);
  const auto slash = text.find('/');
  const auto index = whole_number(std::string_view(text).substr(0, slash));
  const auto count = slash == std::string::npos
                         ? std::nullopt
                         : whole_number(std::string_view(text).substr(slash + 1));
  if (!index || !count || *index < 0 || *count < 1) {
    throw ConfigError(
        fmt::format("--shard '{}' is neither auto nor I/N, as in 0/4, 1/4, 2/4 and 3/4", text));
  }
  return checked({*index, *count, {}}, "--shard " + text);
}

struct WorkShare::State {
  State(fs::path claims, Shard which, double seconds)
      : folder(std::move(claims)), shard(which), lease(seconds), owner(owner_name()) {}

  fs::path folder;
  Shard shard;
  std::chrono::duration<double> lease;
  std::string owner;

  /// When a claim of another was seen to change, by unit.
  struct Seen {
    std::string text;
    Clock::time_point since;
  };
  std::map<std::string, Seen> seen;

  std::mutex mutex;
  std::condition_variable changed;
  std::optional<fs::path> held;
  bool ended = false;
  std::thread heart;

  std::string text(std::uint64_t beat) const { return fmt::format("{}\n{}\n", owner, beat); }
  bool is_own(const fs::path& claim) const { return read_claim(claim).starts_with(owner + "\n"); }

  /// Raises the count of the claim that is held, as long as it is there and its own.
  void beat_on() {
    std::uint64_t beat = 0;
    std::unique_lock lock(mutex);
    while (!ended) {
      changed.wait_for(lock, lease / 4);
      if (ended || !held) continue;
      const fs::path claim = *held;
      lock.unlock();
      if (is_own(claim)) write(claim, text(++beat), O_WRONLY | O_TRUNC);
      lock.lock();
    }
  }

  /// @return 0, or why not
  static int write(const fs::path& path, const std::string& text, int flags) {
    const int file = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
    if (file < 0) return errno;
    const bool whole = ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    const int error = whole ? 0 : errno;
    if (::close(file) != 0) return errno;
    return error;
  }

  bool claim(const std::string& unit) {
    const fs::path path = folder / unit;
    const int error = write(path, text(0), O_WRONLY | O_CREAT | O_EXCL);
    if (error != 0 && error != EEXIST) {
      throw DataError(fmt::format("cannot write '{}': {}", path.string(), std::strerror(error)));
    }
    if (error == EEXIST && !take_over(unit, path)) return false;
    const std::lock_guard lock(mutex);
    held = path;
    return true;
  }

  bool take_over(const std::string& unit, const fs::path& path) {
    const std::string now = read_claim(path);
    const auto [known, fresh] = seen.try_emplace(unit, Seen{now, Clock::now()});
    if (!fresh && known->second.text != now) known->second = {now, Clock::now()};
    if (Clock::now() - known->second.since < lease) return false;
    seen.erase(unit);
    write_file(path, text(0));
    return is_own(path);
  }

  void release() {
    fs::path path;
    {
      const std::lock_guard lock(mutex);
      if (!held) return;
      path = *held;
      held.reset();
    }
    if (is_own(path)) ::unlink(path.c_str());
  }
};

WorkShare::WorkShare(fs::path folder, Shard shard, double lease)
    : state_(std::make_unique<State>(std::move(folder), shard, lease)) {
  if (!(lease >= 1)) throw ConfigError("a lease is of one second at least");
  make_folder(state_->folder);
  state_->heart = std::thread([this] { state_->beat_on(); });
}

WorkShare::~WorkShare() {
  state_->release();
  {
    const std::lock_guard lock(state_->mutex);
    state_->ended = true;
  }
  state_->changed.notify_all();
  state_->heart.join();
}

bool WorkShare::run(const std::vector<std::string>& units,
                    const std::function<bool(const std::string&)>& done,
                    const std::function<bool(const std::string&)>& work,
                    const std::function<void(std::size_t)>& waiting,
                    const std::function<bool()>& stop) {
  const Shard& shard = state_->shard;
  const double share = shard.count > 0
                           ? static_cast<double>(shard.index) / static_cast<double>(shard.count)
                           : std::fmod(static_cast<double>(shard.index) * kGoldenRatio, 1.0);
  std::vector<std::string> left = units;
  std::rotate(left.begin(),
              left.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(left.size())),
              left.end());
  const auto stopped = [&] { return stop && stop(); };
  bool told = false;
  std::set<std::string> own;  // done by this process, whatever a network file system says yet
  for (;;) {
    bool worked = false;
    for (const auto& unit : left) {
      if (stopped()) return false;
      if (own.contains(unit) || done(unit) || !state_->claim(unit)) continue;
      bool finished = true;
      try {
        if (!done(unit)) finished = work(unit);
      } catch (...) {
        state_->release();
        throw;
      }
      state_->release();
      if (!finished) return false;
      own.insert(unit);
      worked = true;
    }
    std::erase_if(left, [&](const std::string& unit) { return own.contains(unit) || done(unit); });
    if (left.empty()) return true;
    if (worked) continue;
    if (!told && waiting) waiting(left.size());
    told = true;
    constexpr auto kPause = std::chrono::milliseconds(200);
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace nagl
