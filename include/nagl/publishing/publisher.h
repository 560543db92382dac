#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace nagl {

/// Where results go besides the disk, and where they wait until they are there.
struct PublishOptions {
  std::string webhook;              ///< `http://` or `https://`; empty: none
  std::filesystem::path token;      ///< a file with the bearer token of the webhook; empty: none
  std::string mqtt;                 ///< `mqtt://HOST[:PORT]/TOPIC`, or `mqtts://`; empty: none
  std::filesystem::path login;      ///< a file with user and password, a line each; empty: none
  std::filesystem::path spool;      ///< folder of what is not delivered yet
  std::int64_t most = 100'000'000;  ///< bytes that may wait there, for each of the two

  bool any() const { return !webhook.empty() || !mqtt.empty(); }
  /// @throws ConfigError on options that nothing can be made of
  void check() const;
};

/// What became of results so far, of this process.
struct PublishCounts {
  std::size_t delivered = 0;
  std::size_t rejected = 0;  ///< the receiver does not want them, ever
  std::size_t given_up = 0;  ///< the oldest, where more waited than may
  std::size_t waiting = 0;   ///< in the spool
};

/// Delivers results in a thread of its own, so that nobody waits for a network. Each is a file of
/// the spool folder first, and until it is delivered: what a process leaves, by whatever end, the
/// next one on that folder delivers. In order, each at least once; where a receiver cannot be
/// reached it is tried again, after pauses that grow from half a second to half a minute.
class Publisher {
 public:
  /// @throws ConfigError if options make no sense, this build cannot do it, or another process
  ///         has the spool folder
  /// @throws DataError if the folder or a file of secrets cannot be used
  explicit Publisher(const PublishOptions& options);
  /// Leaves in the spool what is not delivered.
  ~Publisher();
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  /// @param result JSON @throws DataError if the spool cannot be written
  void add(std::string_view result);

  /// Goes on delivering for so long at most, or until nothing waits. @param seconds at least 0
  void finish(double seconds);

  PublishCounts counts() const;
  /// Lines that a person should read, since they were asked for last: that a receiver cannot be
  /// reached, or is back, and at most once a minute what was given up.
  std::vector<std::string> news();

 private:
  class Delivery;

  std::vector<std::unique_ptr<Delivery>> deliveries_;
};

}  // namespace nagl
