#include "console.h"

#include <spdlog/spdlog.h>

#include "interrupt.h"

namespace nagl::apps {

Console::Console() { catch_interrupts(); }

bool Console::stopped() { return interrupted(); }

void Console::clear() {
  if (progress_) progress_->clear();
}

void Console::say(jobs::Level level, const std::string& text) {
  clear();
  switch (level) {
    case jobs::Level::kInfo:
      spdlog::info("{}", text);
      break;
    case jobs::Level::kWarning:
      spdlog::warn("{}", text);
      break;
    case jobs::Level::kError:
      spdlog::error("{}", text);
      break;
  }
}

void Console::advance(const std::string& stage, std::int64_t done, std::int64_t total) {
  if (!progress_ || stage != stage_) {
    progress_ = std::make_unique<Progress>(stage, total, done);
    stage_ = stage;
  }
  progress_->update(done);
  if (done >= total) {
    clear();
    progress_.reset();
  }
}

}  // namespace nagl::apps
