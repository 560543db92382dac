#include "nagl/publishing/publisher.h"

#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "nagl/core/error.h"
#include "receiver.h"
#include "spool.h"

namespace nagl {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kFirstPause{500}, kLongestPause{30'000}, kIdle{1000};
constexpr std::chrono::minutes kBetweenNews{1};

/// Counts what happens often, and says it at most once a minute.
class Tally {
 public:
  void add(std::size_t count, const std::string& why = {}) {
    total_ += count;
    untold_ += count;
    if (!why.empty()) why_ = why;
  }
  std::size_t total() const { return total_; }
  const std::string& why() const { return why_; }
  /// How many there were since this said so last; 0: none, or it is too early.
  std::size_t due(bool now) {
    const bool early = told_ && Clock::now() - *told_ < kBetweenNews;
    if (untold_ == 0 || (early && !now)) return 0;
    told_ = Clock::now();
    return std::exchange(untold_, 0);
  }

 private:
  std::size_t total_ = 0, untold_ = 0;
  std::optional<Clock::time_point> told_;
  std::string why_;  ///< of the latest
};

std::string results(std::size_t count) {
  return fmt::format("{} result{}", count, count == 1 ? "" : "s");
}

}  // namespace

void PublishOptions::check() const {
  if (!token.empty() && webhook.empty()) throw ConfigError("--post-token needs --post");
  if (!login.empty() && mqtt.empty()) throw ConfigError("--mqtt-login needs --mqtt");
  if (!any()) {
    if (!spool.empty()) throw ConfigError("--spool needs --post or --mqtt");
    return;
  }
  if (spool.empty()) {
    throw ConfigError(
        "--post and --mqtt need a folder for results that wait: give --spool or --out");
  }
  if (most < 1) throw ConfigError("--spool-size must be above 0");
}

/// One receiver, its spool, and the thread between them.
class Publisher::Delivery {
 public:
  Delivery(std::unique_ptr<Receiver> receiver, const std::filesystem::path& folder,
           std::int64_t most)
      : receiver_(std::move(receiver)), spool_(folder, most), folder_(folder.string()) {
    if (spool_.size() > 0) {
      news_.push_back(fmt::format("'{1}' holds {0} of an earlier run for {2}",
                                  results(spool_.size()), folder_, receiver_->name()));
    }
    given_up_.add(spool_.give_up());
    thread_ = std::thread([this] { run(); });
  }

  ~Delivery() {
    {
      const std::lock_guard guard(mutex_);
      ends_ = true;
    }
    receiver_->give_in();
    wake_.notify_all();
    thread_.join();
  }

  void add(std::string_view result) {
    const std::lock_guard guard(mutex_);
    spool_.add(result);
    given_up_.add(spool_.give_up(sending_));
    wake_.notify_all();
  }

  void finish(Clock::time_point until) {
    std::unique_lock lock(mutex_);
    hurries_ = true;  // no long pause any more
    wake_.notify_all();
    empty_.wait_until(lock, until, [&] { return spool_.size() == 0; });
    if (spool_.size() > 0) {
      news_.push_back(
          fmt::format("{} could not be delivered to {}; '{}' keeps what waits for the next run",
                      results(spool_.size()), receiver_->name(), folder_));
    }
  }

  void count(PublishCounts& counts) {
    const std::lock_guard guard(mutex_);
    counts.delivered += delivered_;
    counts.rejected += rejected_.total();
    counts.given_up += given_up_.total();
    counts.waiting += spool_.size();
  }

  void tell(std::vector<std::string>& lines) {
    const std::lock_guard guard(mutex_);
    lines.insert(lines.end(), news_.begin(), news_.end());
    news_.clear();
    if (const auto count = given_up_.due(hurries_)) {
      lines.push_back(
          fmt::format("{} given up, the oldest: more than --spool-size wait in '{}' for {}",
                      results(count), folder_, receiver_->name()));
    }
    if (const auto count = rejected_.due(hurries_)) {
      lines.push_back(fmt::format("{} given up: {}", results(count), rejected_.why()));
    }
  }

 private:
  void run() {
    // A connection that breaks is an error to handle, not the end of the process.
    sigset_t broken_pipe;
    sigemptyset(&broken_pipe);
    sigaddset(&broken_pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);
    milliseconds pause = kFirstPause;
    std::unique_lock lock(mutex_);
    while (!ends_) {
      const Spool::Entry* oldest = spool_.oldest();
      if (oldest == nullptr) {
        if (!wake_.wait_for(lock, kIdle, [&] { return ends_ || spool_.size() > 0; })) {
          lock.unlock();
          receiver_->idle();
          lock.lock();
        }
        continue;
      }
      sending_ = oldest->name;
      const auto text = spool_.read(*oldest);
      if (!text) {
        done(rejected_, fmt::format("'{}/{}' is damaged", folder_, sending_));
        continue;
      }
      lock.unlock();
      const Delivered result = receiver_->send(sending_.substr(0, sending_.find('.')), *text);
      lock.lock();
      if (result.outcome == Delivered::kNotNow) {
        if (!away_) {
          news_.push_back(fmt::format("{} {}; results wait in '{}', and it is tried again",
                                      receiver_->name(), result.why, folder_));
        }
        away_ = true;
        sending_.clear();
        if (hurries_) pause = kFirstPause;
        const bool hurried = hurries_;
        wake_.wait_for(lock, pause, [&] { return ends_ || hurries_ != hurried; });
        pause = std::min(2 * pause, kLongestPause);
        continue;
      }
      if (away_) news_.push_back(fmt::format("{} is back", receiver_->name()));
      away_ = false;
      pause = kFirstPause;
      if (result.outcome == Delivered::kRejected) {
        done(rejected_, fmt::format("{} {}", receiver_->name(), result.why));
        continue;
      }
      ++delivered_;
      done();
    }
  }

  void done(Tally& tally, const std::string& why) {
    tally.add(1, why);
    done();
  }

  /// What was on its way waits no more.
  void done() {
    spool_.remove(sending_);
    sending_.clear();
    if (spool_.size() == 0) empty_.notify_all();
  }

  std::unique_ptr<Receiver> receiver_;
  std::mutex mutex_;  ///< of all below
  std::condition_variable wake_, empty_;
  Spool spool_;
  std::string folder_;
  std::string sending_;  ///< name of what is on its way
  std::size_t delivered_ = 0;
  Tally rejected_, given_up_;
  std::vector<std::string> news_;
  bool away_ = false, hurries_ = false, ends_ = false;
  std::thread thread_;
};

Publisher::Publisher(const PublishOptions& options) {
  options.check();
  const auto start = [&](std::unique_ptr<Receiver> receiver, const char* folder) {
    deliveries_.push_back(
        std::make_unique<Delivery>(std::move(receiver), options.spool / folder, options.most));
  };
  std::unique_ptr<Receiver> webhook, mqtt;  // both, before either sends anything
  if (!options.webhook.empty()) webhook = make_webhook(options.webhook, options.token);
  if (!options.mqtt.empty()) mqtt = make_mqtt(options.mqtt, options.login);
  if (webhook) start(std::move(webhook), "webhook");
  if (mqtt) start(std::move(mqtt), "mqtt");
}

Publisher::~Publisher() = default;

void Publisher::add(std::string_view result) {
  for (auto& delivery : deliveries_) delivery->add(result);
}

void Publisher::finish(double seconds) {
  const auto until = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                        std::chrono::duration<double>(seconds));
  for (auto& delivery : deliveries_) delivery->finish(until);
}

PublishCounts Publisher::counts() const {
  PublishCounts counts;
  for (const auto& delivery : deliveries_) delivery->count(counts);
  return counts;
}

std::vector<std::string> Publisher::news() {
  std::vector<std::string> lines;
  for (auto& delivery : deliveries_) delivery->tell(lines);
  return lines;
}

}  // namespace nagl
