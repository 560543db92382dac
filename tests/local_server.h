#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace nagl::testing {

/// A socket that listens at a free port of this machine.
/// @param port 0: a free one is chosen; gets the port
inline int listen_here(int& port) {
  const int listening = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int yes = 1;
  ::setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(listening, reinterpret_cast<sockaddr*>(&address), size) != 0) return -1;
  ::listen(listening, 16);
  ::getsockname(listening, reinterpret_cast<sockaddr*>(&address), &size);
  port = ntohs(address.sin_port);
  return listening;
}

/// A port at which nobody listens.
inline int free_port() {
  int port = 0;
  ::close(listen_here(port));
  return port;
}

/// Waits until something holds. @return whether it did within so many seconds
inline bool within(double seconds, const std::function<bool()>& holds) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

/// Takes connections at a port, one after the other, in a thread of its own.
class Connections {
 public:
  /// @param port 0: a free one @param serve what is done with each, which is closed then
  Connections(int port, std::function<void(int connection)> serve)
      : serve_(std::move(serve)), port_(port), listening_(listen_here(port_)) {
    thread_ = std::thread([this] { run(); });
  }
  ~Connections() {
    ends_ = true;
    thread_.join();
    ::close(listening_);
  }
  Connections(const Connections&) = delete;
  Connections& operator=(const Connections&) = delete;

  int port() const { return port_; }
  int count() const { return count_; }
  /// Whether `serve` should come to its end.
  bool ending() const { return ends_; }

 private:
  void run() {
    while (!ends_) {
      pollfd waiting{listening_, POLLIN, 0};
      if (::poll(&waiting, 1, 20) <= 0) continue;
      const int connection = ::accept(listening_, nullptr, nullptr);
      if (connection < 0) continue;
      ++count_;
      serve_(connection);
      ::close(connection);
    }
  }

  std::function<void(int)> serve_;
  int port_, listening_;
  std::atomic<bool> ends_ = false;
  std::atomic<int> count_ = 0;
  std::thread thread_;
};

/// A web server of a few lines, which keeps what it is sent.
class LocalServer {
 public:
  struct Request {
    std::string head, body;
  };

  /// @param answer the status for each request @param port 0: a free one
  explicit LocalServer(std::function<int(const Request&)> answer = {}, int port = 0)
      : answer_(std::move(answer)),
        connections_(port, [this](int connection) { serve(connection); }) {}

  int port() const { return connections_.port(); }
  std::string url(const std::string& path = "/hook") const {
    return "http://127.0.0.1:" + std::to_string(port()) + path;
  }
  std::vector<Request> requests() const {
    const std::lock_guard guard(mutex_);
    return requests_;
  }

 private:
  void serve(int connection) {
    std::string text;
    std::size_t head = std::string::npos, length = 0;
    while (head == std::string::npos || text.size() < head + 4 + length) {
      char block[4096];
      const ssize_t got = ::read(connection, block, sizeof block);
      if (got <= 0) return;
      text.append(block, static_cast<std::size_t>(got));
      head = text.find("\r\n\r\n");
      const auto field = text.find("Content-Length: ");
      if (head != std::string::npos && field < head) {
        length = std::stoul(text.substr(field + 16));
      }
    }
    Request request{text.substr(0, head), text.substr(head + 4)};
    const int status = answer_ ? answer_(request) : 200;
    {
      const std::lock_guard guard(mutex_);
      requests_.push_back(std::move(request));
    }
    const std::string answer = "HTTP/1.1 " + std::to_string(status) +
                               " x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    static_cast<void>(!::write(connection, answer.data(), answer.size()));
  }

  std::function<int(const Request&)> answer_;
  mutable std::mutex mutex_;
  std::vector<Request> requests_;
  Connections connections_;  // the last, since it uses the others
};

}  // namespace nagl::testing
