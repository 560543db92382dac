#pragma once

#include <chrono>
#include <string>
#include <thread>

#include "local_server.h"

namespace nagl::testing {

/// What many network cameras are: JPEG pictures over HTTP, one after the other, 50 a second. Each
/// connection breaks after some frames.
class Camera {
 public:
  Camera(std::string jpeg, int frames)
      : jpeg_(std::move(jpeg)),
        frames_(frames),
        connections_(0, [this](int connection) { serve(connection); }) {}

  std::string url() const {
    return "http://127.0.0.1:" + std::to_string(connections_.port()) + "/camera";
  }
  int connections() const { return connections_.count(); }

 private:
  void serve(int connection) const {
    char request[4096];
    if (::read(connection, request, sizeof request) <= 0) return;
    bool sent = send(connection,
                     "HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; "
                     "boundary=frame\r\n\r\n--frame\r\n");
    for (int i = 0; i < frames_ && sent && !connections_.ending(); ++i) {
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
  int frames_;
  Connections connections_;  // the last, since it uses the others
};

}  // namespace nagl::testing
