#include "nagl/core/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <string_view>

#include "nagl/core/duration.h"

namespace nagl {
namespace {

void to_terminal(std::string_view text) {
  // A terminal that has gone away is no reason to stop.
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

}  // namespace

Progress::Progress(std::string what, std::int64_t total, std::int64_t done)
    : what_(std::move(what)),
      total_(total),
      before_(done),
      start_(Clock::now()),
      terminal_(::isatty(STDERR_FILENO) != 0) {}

Progress::~Progress() { clear(); }

void Progress::update(std::int64_t done) {
  using namespace std::chrono_literals;
  const auto now = Clock::now();
  if (!terminal_ || now - drawn_ < 100ms) return;
  drawn_ = now;
  visible_ = true;
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  const double rate = elapsed > 0 ? static_cast<double>(done - before_) / elapsed : 0;
  std::string line = fmt::format("\r\x1b[K{} {}/{}", what_, done, total_);
  if (rate > 0) {
    line += fmt::format("  {:.1f}/s  {} left", rate,
                        format_duration(static_cast<double>(total_ - done) / rate));
  }
  to_terminal(line);
}

void Progress::clear() {
  if (visible_) to_terminal("\r\x1b[K");
  visible_ = false;
}

}  // namespace nagl
