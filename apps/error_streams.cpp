#include "error_streams.h"

#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <streambuf>

#include "nagl/core/stderr_capture.h"

namespace nagl::apps {
namespace {

void pass_on(std::string_view text) {
  if (StderrCapture::take(text)) return;
  while (!text.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

class Buffer : public std::streambuf {
 protected:
  int_type overflow(int_type c) override {
    if (traits_type::eq_int_type(c, traits_type::eof())) return traits_type::not_eof(c);
    const char character = traits_type::to_char_type(c);
    pass_on({&character, 1});
    return c;
  }
  std::streamsize xsputn(const char* text, std::streamsize size) override {
    pass_on({text, static_cast<std::size_t>(size)});
    return size;
  }
};

#ifdef __GLIBC__
ssize_t write_cookie(void*, const char* text, std::size_t size) {
  pass_on({text, size});
  return static_cast<ssize_t>(size);
}
#endif

}  // namespace

void hand_over_error_streams() {
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

}  // namespace nagl::apps
