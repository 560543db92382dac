#include "nagl/core/stderr_capture.h"

#include <cctype>

namespace nagl {
namespace {

constexpr std::size_t kLongest = 300;

thread_local std::string* catching = nullptr;

}  // namespace

StderrCapture::StderrCapture() : outer_(catching) { catching = &caught_; }
StderrCapture::~StderrCapture() { catching = outer_; }

bool StderrCapture::take(std::string_view printed) {
  if (catching == nullptr) return false;
  catching->append(printed);
  return true;
}

std::string StderrCapture::text() const {
  std::string line;
  for (const char c : caught_) {
    const bool space = std::isspace(static_cast<unsigned char>(c)) != 0;
    if (space && (line.empty() || line.back() == ' ')) continue;
    line += space ? ' ' : c;
  }
  if (line.ends_with(' ')) line.pop_back();
  if (line.size() > kLongest) line.resize(kLongest);
  return line;
}

}  // namespace nagl
