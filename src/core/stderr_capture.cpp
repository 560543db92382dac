#include "nagl/core/stderr_capture.h"

#include <unistd.h>

#include <cctype>
#include <cstdio>
#include <iostream>
#include <streambuf>

namespace nagl {
namespace {

constexpr std::size_t kLongest = 300;

thread_local std::string* catching = nullptr;

void pass_on(const char* text, std::size_t size) {
  if (catching != nullptr) {
    catching->append(text, size);
    return;
  }
  while (size > 0) {
    const ssize_t written = ::write(STDERR_FILENO, text, size);
    if (written <= 0) return;
    text += written;
    size -= static_cast<std::size_t>(written);
  }
}

class Buffer : public std::streambuf {
 protected:
  int_type overflow(int_type c) override {
    if (traits_type::eq_int_type(c, traits_type::eof())) return traits_type::not_eof(c);
    const char character = traits_type::to_char_type(c);
    pass_on(&character, 1);
    return c;
  }
  std::streamsize xsputn(const char* text, std::streamsize size) override {
    pass_on(text, static_cast<std::size_t>(size));
    return size;
  }
};

#ifdef __GLIBC__
ssize_t write_cookie(void*, const char* text, std::size_t size) {
  pass_on(text, size);
  return static_cast<ssize_t>(size);
}
#endif

}  // namespace

StderrCapture::StderrCapture() : outer_(catching) { catching = &caught_; }
StderrCapture::~StderrCapture() { catching = outer_; }

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

void StderrCapture::install() {
  static Buffer buffer;
  std::cerr.rdbuf(&buffer);
#ifdef __GLIBC__
  cookie_io_functions_t functions = {};
  functions.write = write_cookie;
  if (FILE* file = ::fopencookie(nullptr, "w", functions)) {
    std::setvbuf(file, nullptr, _IONBF, 0);
    stderr = file;
  }
#endif
}

}  // namespace nagl
