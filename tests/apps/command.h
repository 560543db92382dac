#pragma once

#include <sys/wait.h>

#include <cstdlib>
#include <fstream>

#include "support.h"

namespace nagl::testing {

/// What a run of the executable left.
struct Outcome {
  int exit_code = -1;
  std::string out, err;
};

/// Runs `nagl arguments` in a shell; `before` may set limits or variables.
inline Outcome run_nagl(const std::string& arguments, const std::string& before = "") {
  const TemporaryFolder folder;
  const std::string command = before + NAGL_EXECUTABLE + " " + arguments + " >" +
                              (folder / "out").string() + " 2>" + (folder / "err").string() +
                              " </dev/null";
  const int status = std::system(command.c_str());
  Outcome outcome;
  outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  outcome.out = slurp(folder / "out");
  outcome.err = slurp(folder / "err");
  return outcome;
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace nagl::testing
