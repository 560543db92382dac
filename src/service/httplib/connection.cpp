#include "connection.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace nagl::service {
namespace {

using std::chrono::milliseconds;

/// How often a waiting connection asks whether it should end.
constexpr milliseconds kLook{100};
/// How long, and how much, is still read of a request that was refused.
constexpr std::chrono::seconds kLinger{2};
constexpr std::size_t kMostLinger = 64'000'000;

/// @param name getpeername or getsockname
template <typename Name>
void address_of(int socket, Name name, std::string& ip, int& port) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (name(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return;
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.ss_family == AF_INET) {
    const auto& four = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &four.sin_addr, text.data(), text.size());
    port = ntohs(four.sin_port);
  } else if (address.ss_family == AF_INET6) {
    const auto& six = reinterpret_cast<const sockaddr_in6&>(address);
    inet_ntop(AF_INET6, &six.sin6_addr, text.data(), text.size());
    port = ntohs(six.sin6_port);
  }
  ip = text.data();
}

}  // namespace

Connection::Connection(int socket, double seconds, std::size_t most_bytes)
    : socket_(socket), time_(seconds), most_bytes_(most_bytes) {}

bool Connection::wait(short events, Clock::time_point until) const {
  for (;;) {
    const auto left = std::chrono::ceil<milliseconds>(until - Clock::now()).count();
    if (left <= 0) return false;
    pollfd entry{socket_, events, 0};
    const int ready = ::poll(&entry, 1, static_cast<int>(std::min<std::int64_t>(left, 1 << 30)));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

bool Connection::wait_for_request(double seconds, const std::function<bool()>& stop) {
  const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                      std::chrono::duration<double>(seconds));
  while (from_ == to_) {  // else the client sent another one with the last
    const auto now = Clock::now();
    if (stop() || now >= end) return false;
    if (wait(POLLIN, std::min(end, now + kLook))) break;
  }
  begun_ = Clock::now();
  deadline_ = begun_ + std::chrono::duration_cast<Clock::duration>(time_);
  bytes_ = 0;
  writing_ = false;
  return true;
}

void Connection::close_gently() {
  ::shutdown(socket_, SHUT_WR);
  const auto end = Clock::now() + kLinger;
  std::size_t total = 0;
  while (total < kMostLinger && wait(POLLIN, end)) {
    const ssize_t got = ::recv(socket_, buffer_.data(), buffer_.size(), 0);
    if (got <= 0) return;
    total += static_cast<std::size_t>(got);
  }
}

bool Connection::is_readable() const {
  return from_ < to_ || wait(POLLIN, Clock::now() + milliseconds(1));
}

bool Connection::is_writable() const { return wait(POLLOUT, Clock::now() + kLook); }

ssize_t Connection::read(char* bytes, std::size_t size) {
  if (from_ == to_) {
    if (!wait(POLLIN, deadline_)) {
      late_ = true;
      return -1;
    }
    const ssize_t got = ::recv(socket_, buffer_.data(), buffer_.size(), 0);
    if (got <= 0) {
      abandoned_ = true;
      return got;
    }
    from_ = 0;
    to_ = static_cast<std::size_t>(got);
    bytes_ += to_;
    too_large_ = bytes_ > most_bytes_;
  }
  if (too_large_) return -1;
  const std::size_t given = std::min(size, to_ - from_);
  std::memcpy(bytes, buffer_.data() + from_, given);
  from_ += given;
  return static_cast<ssize_t>(given);
}

ssize_t Connection::write(const char* bytes, std::size_t size) {
  if (!writing_) {  // the answer has its own time
    writing_ = true;
    deadline_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(time_);
  }
  if (!wait(POLLOUT, deadline_)) {
    abandoned_ = true;
    return -1;
  }
  return ::send(socket_, bytes, size, MSG_NOSIGNAL);
}

void Connection::get_remote_ip_and_port(std::string& ip, int& port) const {
  address_of(socket_, ::getpeername, ip, port);
}

void Connection::get_local_ip_and_port(std::string& ip, int& port) const {
  address_of(socket_, ::getsockname, ip, port);
}

}  // namespace nagl::service
