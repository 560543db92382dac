#include "decoder_log.h"

#include <dlfcn.h>

#include <array>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>

namespace nagl {
namespace {

constexpr int kError = 16;  // AV_LOG_ERROR

std::mutex mutex;  // of all below
int in_scope = 0;
std::thread::id asking;
DecoderLog::Entries caught;

/// Whether a codec speaks. Whatever logs begins with a pointer to its class, and that with its
/// name.
bool is_codec(void* speaker) {
  if (speaker == nullptr) return false;
  const char* const* description = *static_cast<const char* const* const*>(speaker);
  return description != nullptr && *description != nullptr &&
         std::string_view(*description) == "AVCodecContext";
}

void catch_line(void* speaker, int level, const char* format, std::va_list values) {
  if ((level & 0xFF) > kError) return;
  std::array<char, 300> text{};
  std::vsnprintf(text.data(), text.size(), format, values);
  std::string line(text.data());
  while (!line.empty() && static_cast<unsigned char>(line.back()) <= ' ') line.pop_back();
  if (line.empty()) return;
  const std::lock_guard guard(mutex);
  std::string& kept = !is_codec(speaker)                     ? caught.of_the_container
                      : std::this_thread::get_id() == asking ? caught.of_this_thread
                                                             : caught.of_others;
  if (kept.empty()) kept = std::move(line);
}

/// OpenCV loads FFmpeg's libraries, or not: so they are asked for by name.
template <typename Function>
Function* named(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_DEFAULT, name));
}

void set_callback(void (*callback)(void*, int, const char*, std::va_list)) {
  using Set = void(void (*)(void*, int, const char*, std::va_list));
  if (auto* set = named<Set>("av_log_set_callback")) set(callback);
}

}  // namespace

DecoderLog::DecoderLog() {
  const std::lock_guard guard(mutex);
  if (++in_scope == 1) set_callback(catch_line);
}

DecoderLog::~DecoderLog() {
  const std::lock_guard guard(mutex);
  if (--in_scope > 0) return;
  using Callback = void(void*, int, const char*, std::va_list);
  if (auto* usual = named<Callback>("av_log_default_callback")) set_callback(usual);
}

DecoderLog::Entries DecoderLog::take() {
  const std::lock_guard guard(mutex);
  asking = std::this_thread::get_id();
  return std::exchange(caught, {});
}

}  // namespace nagl
