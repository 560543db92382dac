#include <fmt/format.h>
#include <httplib.h>

#include "../receiver.h"
#include "nagl/core/error.h"

namespace nagl {
namespace {

constexpr int kConnectSeconds = 3, kAnswerSeconds = 10;

class Webhook : public Receiver {
 public:
  Webhook(const Address& address, std::string name, const std::string& token)
      : name_(std::move(name)),
        path_(address.path.starts_with('/') ? address.path : "/" + address.path),
        client_(origin_of(address)) {
    // A fragment is no part of what is asked for.
    path_ = path_.substr(0, path_.find('#'));
    client_.set_connection_timeout(kConnectSeconds);
    client_.set_read_timeout(kAnswerSeconds);
    client_.set_write_timeout(kAnswerSeconds);
    client_.set_keep_alive(true);
    client_.set_tcp_nodelay(true);
    if (!token.empty()) client_.set_bearer_token_auth(token.c_str());
  }

  Delivered send(const std::string& id, const std::string& json) override {
    const httplib::Headers headers = {{"Idempotency-Key", id}};
    const auto answer = client_.Post(path_, headers, json, "application/json");
    if (!answer) return {Delivered::kNotNow, said(answer.error())};
    const int status = answer->status;
    if (status >= 200 && status < 300) return {};
    const bool later = status == 408 || status == 429 || status >= 500;
    return {later ? Delivered::kNotNow : Delivered::kRejected, fmt::format("answered {}", status)};
  }

  void give_in() override { client_.stop(); }
  std::string name() const override { return name_; }

 private:
  static std::string origin_of(const Address& address) {
    const bool six = address.host.find(':') != std::string::npos;
    const std::string host = six ? "[" + address.host + "]" : address.host;
    const int port = address.port != 0 ? address.port : address.scheme == "https" ? 443 : 80;
    return fmt::format("{}://{}:{}", address.scheme, host, port);
  }

  static std::string said(httplib::Error error) {
    switch (error) {
      case httplib::Error::Connection:
        return "cannot be reached";
      case httplib::Error::ConnectionTimeout:
        return fmt::format("did not answer within {} s", kConnectSeconds);
      case httplib::Error::Read:
        return "did not answer";
      case httplib::Error::SSLServerVerification:
        return "has a certificate that this machine does not trust";
      default:
        return fmt::format("cannot be used ({})", httplib::to_string(error));
    }
  }

  std::string name_, path_;
  httplib::Client client_;
};

}  // namespace

std::unique_ptr<Receiver> make_webhook(const std::string& url, const std::filesystem::path& token) {
  const Address address = parse_address(url, "--post");
  if (address.scheme != "http" && address.scheme != "https") {
    throw ConfigError(fmt::format("--post '{}' is neither http:// nor https://", url));
  }
  // What follows the path may be a secret.
  const std::string name = url.substr(0, url.find_first_of("?#"));
  return std::make_unique<Webhook>(address, name,
                                   token.empty() ? "" : read_secrets(token, 1).front());
}

}  // namespace nagl
