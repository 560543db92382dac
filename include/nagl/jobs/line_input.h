#pragma once

#include <optional>
#include <string>
#include <utility>

#include "nagl/jobs/observer.h"

namespace nagl::jobs {

/// The lines of a file, a pipe or standard input, as they come.
class LineInput {
 public:
  /// @param descriptor of the open file; stays open @param name what it is, for messages
  /// @param stop asked before each line, and several times a second while there is none
  LineInput(int descriptor, std::string name, StopToken stop)
      : descriptor_(descriptor), name_(std::move(name)), stop_(std::move(stop)) {}

  /// Waits for the next line. @return it without its end; nothing after the last, or when it is to
  /// stop @throws DataError if it cannot be read, or a line has no end
  std::optional<std::string> next();

 private:
  int descriptor_;
  std::string name_;
  StopToken stop_;
  std::string buffer_;
  bool ended_ = false;
};

}  // namespace nagl::jobs
