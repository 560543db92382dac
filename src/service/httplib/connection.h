#pragma once

#include <httplib.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <functional>

namespace nagl::service {

/// A client's connection. cpp-httplib bounds each read alone, so that a client which sends a byte
/// now and then would hold a thread for hours: here a whole request must have come by a deadline,
/// and be no larger than that.
class Connection : public httplib::Stream {
 public:
  using Clock = std::chrono::steady_clock;

  /// @param socket stays the caller's
  /// @param seconds for a request to come, and for its answer to be taken
  /// @param most_bytes of a request
  Connection(int socket, double seconds, std::size_t most_bytes);

  /// Waits for the first byte of a request, which is the beginning of its time.
  /// @param stop ends the waiting
  bool wait_for_request(double seconds, const std::function<bool()>& stop);

  /// When the request's first byte came.
  Clock::time_point begun() const { return begun_; }
  /// Whether the client took too long, or sent too much.
  bool late() const { return late_; }
  bool too_large() const { return too_large_; }
  /// What was not read of the request stays unread, so that another cannot follow.
  void abandon() { abandoned_ = true; }
  bool abandoned() const { return abandoned_ || late_ || too_large_; }

  /// Ends it so that an answer to what was not read through still reaches the client: closing a
  /// socket with unread bytes would take the answer back.
  void close_gently();

  bool is_readable() const override;
  bool is_writable() const override;
  ssize_t read(char* bytes, std::size_t size) override;
  ssize_t write(const char* bytes, std::size_t size) override;
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  int socket() const override { return socket_; }

 private:
  bool wait(short events, Clock::time_point until) const;

  int socket_;
  std::chrono::duration<double> time_;
  std::size_t most_bytes_;
  Clock::time_point begun_, deadline_;
  std::size_t bytes_ = 0;  ///< of this request
  bool late_ = false, too_large_ = false, abandoned_ = false, writing_ = false;
  std::array<char, 65536> buffer_;
  std::size_t from_ = 0, to_ = 0;  ///< what of it is not read yet
};

}  // namespace nagl::service
