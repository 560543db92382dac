#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace nagl {

/// What became of one try to deliver a result.
struct Delivered {
  enum { kYes, kRejected, kNotNow } outcome = kYes;
  std::string why;  ///< of the other two, e.g. `answered 503`
};

/// Who takes results. For one thread, but for `give_in`.
class Receiver {
 public:
  virtual ~Receiver() = default;
  /// Tries once, for some seconds at most.
  /// @param id of the result: the same when it is sent a second time
  virtual Delivered send(const std::string& id, const std::string& json) = 0;
  /// Called now and then while there is nothing to send.
  virtual void idle() {}
  /// From any thread: a `send` that is going on may end early.
  virtual void give_in() {}
  /// As a person would call it, without secrets: `http://host/path`.
  virtual std::string name() const = 0;
};

/// The parts of `scheme://host[:port][/path]`.
struct Address {
  std::string scheme, host;  ///< an IPv6 address without its brackets
  int port = 0;              ///< 0: none was named
  std::string path;          ///< with what follows it; empty or from `/` on
};

/// @param option that it was given to, for messages
/// @throws ConfigError if it is no such address, or holds a user or a password
Address parse_address(const std::string& url, const std::string& option);

/// The lines of a file of secrets, as they are but for their ends.
/// @throws DataError naming a file that cannot be read, ConfigError if there are fewer than `lines`
std::vector<std::string> read_secrets(const std::filesystem::path& file, std::size_t lines);

/// POSTs each result to a URL. Delivered is an answer 2xx; 408, 429 and 5xx are for later, any
/// other is a rejection.
/// @param token a file with the bearer token; empty: none
/// @throws ConfigError if the URL is none, or this build has no HTTP; DataError as `read_secrets`
std::unique_ptr<Receiver> make_webhook(const std::string& url, const std::filesystem::path& token);

/// Publishes each result under a topic, with quality of service 1 (at least once).
/// @param login a file with user and password; empty: none
/// @throws ConfigError if the URL is none, or this build has no MQTT; DataError as `read_secrets`
std::unique_ptr<Receiver> make_mqtt(const std::string& url, const std::filesystem::path& login);

}  // namespace nagl
