#include "nagl/jobs/line_input.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>

#include "nagl/core/error.h"

namespace nagl::jobs {
namespace {

constexpr int kPollMilliseconds = 200;
constexpr std::size_t kLongestLine = 1 << 16;

}  // namespace

std::optional<std::string> LineInput::next() {
  while (!stop_ || !stop_()) {
    const auto end = buffer_.find('\n');
    if (end != std::string::npos || (ended_ && !buffer_.empty())) {
      std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end == std::string::npos ? end : end + 1);
      return line;
    }
    if (ended_) break;
    if (buffer_.size() > kLongestLine) {
      throw DataError(fmt::format("{} holds a line that has no end", name_));
    }
    pollfd input{descriptor_, POLLIN, 0};
    if (::poll(&input, 1, kPollMilliseconds) <= 0) continue;
    char block[4096];
    const ssize_t got = ::read(descriptor_, block, sizeof block);
    if (got > 0) buffer_.append(block, static_cast<std::size_t>(got));
    if (got == 0) ended_ = true;
    if (got < 0 && errno != EINTR) throw DataError(fmt::format("{} cannot be read", name_));
  }
  return std::nullopt;
}

}  // namespace nagl::jobs
