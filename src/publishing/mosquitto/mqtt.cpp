#include <fmt/format.h>
#include <mosquitto.h>

#include <atomic>

#include "../receiver.h"
#include "nagl/core/duration.h"
#include "nagl/core/error.h"

namespace nagl {
namespace {

constexpr int kPort = 1883, kSecurePort = 8883, kAtLeastOnce = 1;
constexpr int kKeepAlive = 60;  // seconds
constexpr int kLookMilliseconds = 100;
constexpr double kConnectSeconds = 5, kAnswerSeconds = 10;

struct Login {
  std::string user, password;
};

/// A connection to a broker. A failed one is not mended but made anew, so that the library keeps no
/// messages of its own: they wait in the spool.
class Mqtt : public Receiver {
 public:
  Mqtt(const Address& address, std::string name, const Login& login)
      : secure_(address.scheme == "mqtts"),
        host_(address.host),
        port_(address.port != 0 ? address.port
              : secure_         ? kSecurePort
                                : kPort),
        topic_(address.path.substr(1)),
        name_(std::move(name)),
        login_(login) {
    static const int initialised = mosquitto_lib_init();
    static_cast<void>(initialised);
  }

  Delivered send(const std::string&, const std::string& json) override {
    if (!handle_) {
      const std::string why = connect();
      if (!why.empty()) return not_now(why);
    }
    int message = 0;
    acknowledged_ = 0;
    const int published =
        mosquitto_publish(handle_.get(), &message, topic_.c_str(), static_cast<int>(json.size()),
                          json.data(), kAtLeastOnce, false);
    if (published == MOSQ_ERR_PAYLOAD_SIZE || published == MOSQ_ERR_OVERSIZE_PACKET) {
      return {Delivered::kRejected, "takes no result of that size"};
    }
    if (published != MOSQ_ERR_SUCCESS) return not_now(mosquitto_strerror(published));
    const std::string why = look_until([&] { return acknowledged_ == message; }, kAnswerSeconds);
    return why.empty() ? Delivered() : not_now(why);
  }

  void idle() override {
    if (handle_ && mosquitto_loop(handle_.get(), 0, 1) != MOSQ_ERR_SUCCESS) handle_.reset();
  }

  void give_in() override { gives_in_ = true; }
  std::string name() const override { return name_; }

 private:
  struct Disconnect {
    void operator()(mosquitto* handle) const {
      mosquitto_disconnect(handle);
      mosquitto_loop(handle, 0, 1);
      mosquitto_destroy(handle);
    }
  };

  Delivered not_now(const std::string& why) {
    handle_.reset();
    return {Delivered::kNotNow, why};
  }

  /// @return why it failed; empty: it did not
  std::string connect() {
    answer_ = -1;
    handle_.reset(mosquitto_new(nullptr, true, this));
    if (!handle_) return "cannot be used: no memory";
    mosquitto_connect_callback_set(handle_.get(), [](mosquitto*, void* self, int answer) {
      static_cast<Mqtt*>(self)->answer_ = answer;
    });
    mosquitto_publish_callback_set(handle_.get(), [](mosquitto*, void* self, int message) {
      static_cast<Mqtt*>(self)->acknowledged_ = message;
    });
    mosquitto_int_option(handle_.get(), MOSQ_OPT_TCP_NODELAY, 1);
    if (!login_.user.empty()) {
      mosquitto_username_pw_set(handle_.get(), login_.user.c_str(), login_.password.c_str());
    }
    if (secure_) mosquitto_int_option(handle_.get(), MOSQ_OPT_TLS_USE_OS_CERTS, 1);
    const int connected = mosquitto_connect_async(handle_.get(), host_.c_str(), port_, kKeepAlive);
    if (connected != MOSQ_ERR_SUCCESS) return failure(connected);
    const std::string why = look_until([&] { return answer_ >= 0; }, kConnectSeconds);
    if (!why.empty()) return why;
    if (answer_ != 0) return fmt::format("refused: {}", mosquitto_connack_string(answer_));
    return {};
  }

  /// Handles what comes until `done`. @return why that did not come; empty: it did
  template <typename Done>
  std::string look_until(const Done& done, double seconds) {
    const Stopwatch since;
    while (!done()) {
      if (gives_in_ || since.seconds() > seconds) return "did not answer";
      const int looked = mosquitto_loop(handle_.get(), kLookMilliseconds, 1);
      if (looked != MOSQ_ERR_SUCCESS && !done()) return failure(looked);
    }
    return {};
  }

  static std::string failure(int code) {
    if (code == MOSQ_ERR_ERRNO || code == MOSQ_ERR_CONN_LOST || code == MOSQ_ERR_NO_CONN) {
      return "cannot be reached";
    }
    if (code == MOSQ_ERR_EAI) return "cannot be reached: nobody knows that host";
    if (code == MOSQ_ERR_TLS) return "has a certificate that this machine does not trust";
    return fmt::format("cannot be used ({})", mosquitto_strerror(code));
  }

  bool secure_;
  std::string host_;
  int port_;
  std::string topic_, name_;
  Login login_;
  std::unique_ptr<mosquitto, Disconnect> handle_;
  int answer_ = -1, acknowledged_ = 0;
  std::atomic<bool> gives_in_ = false;
};

}  // namespace

std::unique_ptr<Receiver> make_mqtt(const std::string& url, const std::filesystem::path& login) {
  const Address address = parse_address(url, "--mqtt");
  if (address.scheme != "mqtt" && address.scheme != "mqtts") {
    throw ConfigError(fmt::format("--mqtt '{}' is neither mqtt:// nor mqtts://", url));
  }
  if (address.path.size() < 2 || !address.path.starts_with('/')) {
    throw ConfigError(fmt::format("--mqtt '{}' names no topic, as mqtt://HOST/TOPIC does", url));
  }
  if (mosquitto_pub_topic_check(address.path.c_str() + 1) != MOSQ_ERR_SUCCESS) {
    throw ConfigError(fmt::format("--mqtt '{}': a topic to publish under holds no + or #", url));
  }
  Login given;
  if (!login.empty()) {
    const auto lines = read_secrets(login, 2);
    given = {lines[0], lines[1]};
  }
  return std::make_unique<Mqtt>(address, url, given);
}

}  // namespace nagl
