#pragma once

#include <string>

namespace nagl {

/// What FFmpeg's libraries complain about while this is in scope, in any thread: they have one log
/// for the process, which would go to standard error.
class DecoderLog {
 public:
  struct Entries {
    std::string of_this_thread;    ///< what a decoder said in the thread that asks
    std::string of_others;         ///< in threads of its own
    std::string of_the_container;  ///< what anything else said, such as a connection
  };

  DecoderLog();
  ~DecoderLog();
  DecoderLog(const DecoderLog&) = delete;
  DecoderLog& operator=(const DecoderLog&) = delete;

  /// The first complaint of each kind since it was asked for last, on one line.
  static Entries take();
};

}  // namespace nagl
