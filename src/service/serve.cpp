#include "nagl/service/serve.h"

#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <string_view>
#include <thread>

#include "detect_service.h"
#include "nagl/core/error.h"
#include "server.h"

namespace nagl::service {
namespace {

using std::chrono::milliseconds;

/// How often it is asked whether to stop, and every how many times banks are looked at.
constexpr milliseconds kLook{100};
constexpr int kLooksBetween = 10;

bool is_loopback(std::string_view host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

void check(const ServeOptions& options) {
  if (options.port < 0 || options.port > 65535) throw ConfigError("a port is in 0..65535");
  if (options.max_body < 1) throw ConfigError("the most bytes of a request must be above 0");
  if (options.queue < 1) throw ConfigError("at least one picture must be able to wait");
  if (!(options.timeout > 0)) throw ConfigError("the time of a request must be above 0 seconds");
}

}  // namespace

NamedBank parse_named_bank(const std::string& text) {
  NamedBank bank;
  const std::size_t sign = text.find('=');
  bank.file = sign == std::string::npos ? text : text.substr(sign + 1);
  bank.name = sign == std::string::npos ? bank.file.stem().string() : text.substr(0, sign);
  constexpr std::string_view kLetters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  if (bank.file.empty()) throw ConfigError(fmt::format("'{}' names no bank's file", text));
  if (bank.name.empty() || bank.name.find_first_not_of(kLetters) != std::string::npos) {
    throw ConfigError(
        fmt::format("a bank's name is of letters, digits, '.', '_' and '-', which '{}' is not; "
                    "give it as NAME=FILE",
                    bank.name));
  }
  return bank;
}

void serve(const ServeOptions& options, const ServeObserver& observer) {
  check(options);
  const std::unique_ptr<Server> server = Server::create(options);
  DetectService service(options, observer);
  if (!is_loopback(options.host) && options.token_file.empty()) {
    observer.warn(fmt::format(
        "whoever reaches {} can use this service; give --token-file unless the network is closed",
        server->url()));
  }
  std::exception_ptr failure;
  std::atomic<bool> ended = false;
  std::thread listener([&] {
    try {
      server->run(service);
    } catch (...) {
      failure = std::current_exception();
    }
    ended = true;
  });
  if (observer.listening) observer.listening(server->url());
  for (int look = 1; !observer.stopped() && !ended; ++look) {
    std::this_thread::sleep_for(kLook);
    if (look % kLooksBetween == 0) service.tend(observer);
  }
  if (!ended) observer.info("ending; requests that came are finished");
  service.drain();
  while (!ended) {  // it does not hear before it listens
    server->stop();
    std::this_thread::sleep_for(kLook);
  }
  listener.join();
  service.tend(observer);
  if (failure) std::rethrow_exception(failure);
  if (!observer.stopped()) throw Error("the service cannot listen any more");
}

}  // namespace nagl::service
