#pragma once

#include <atomic>
#include <string>
#include <thread>

#include "local_server.h"

namespace nagl::testing {

/// What many network cameras are: JPEG pictures over HTTP, one after the other, 50 a second. Each
/// connection breaks after some frames.
class Camera {
 public:
  Camera(std::string jpeg, int frames)
      : jpeg_(std::move(jpeg)), frames_(frames), listening_(listen_here(port_)) {
    thread_ = std::thread([this] { run(); });
  }
  ~Camera() {
    ends_ = true;
    thread_.join();
    ::close(listening_);
  }
  Camera(const Camera&) = delete;
  Camera& operator=(const Camera&) = delete;

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/camera"; }
  int connections() const { return connections_; }

 private:
  void run() {
    while (!ends_) {
      pollfd waiting{listening_, POLLIN, 0};
      if (::poll(&waiting, 1, 20) <= 0) continue;
      const int connection = ::accept(listening_, nullptr, nullptr);
      if (connection < 0) continue;
      ++connections_;
      serve(connection);
      ::close(connection);
    }
  }

  void serve(int connection) const {
    char request[4096];
    if (::read(connection, request, sizeof request) <= 0) return;
    bool sent = send(connection,
                     "HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; "
                     "boundary=frame\r\n\r\n--frame\r\n");
    for (int i = 0; i < frames_ && sent && !ends_; ++i) {
      sent = send(connection,
                  "Content-Type: image/jpeg\r\nContent-Length: " + std::to_string(jpeg_.size()) +
                      "\r\n\r\n" + jpeg_ + "\r\n--frame\r\n");
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }

  static bool send(int connection, const std::string& bytes) {
    return ::send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(bytes.size());
  }

  std::string jpeg_;
  int frames_, port_ = 0, listening_;
  std::atomic<bool> ends_ = false;
  std::atomic<int> connections_ = 0;
  std::thread thread_;
};

}  // namespace nagl::testing
