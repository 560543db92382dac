#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <thread>

#include "support.h"

namespace nagl::testing {

/// What a run of the executable left.
struct Outcome {
  int exit_code = -1;  ///< 128 + signal if one ended it
  std::string out, err;
  long peak_kib = 0;  ///< largest resident set
};

/// Runs `nagl arguments` in a shell; `before` may set limits or variables. While it runs, `watch`
/// is called with its process and what it printed so far, until it returns true.
inline Outcome run_nagl(const std::string& arguments, const std::string& before = "",
                        const std::function<bool(pid_t, const std::string&)>& watch = {}) {
  const TemporaryFolder folder;
  const std::string command = "exec >" + (folder / "out").string() + " 2>" +
                              (folder / "err").string() + " </dev/null; " + before +
                              "exec " NAGL_EXECUTABLE " " + arguments;
  const pid_t child = ::fork();
  if (child == 0) {
    ::execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    ::_exit(127);
  }
  Outcome outcome;
  int status = 0;
  struct rusage usage {};
  bool watching = static_cast<bool>(watch);
  while (::wait4(child, &status, watching ? WNOHANG : 0, &usage) == 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    watching = !watch(child, slurp(folder / "out"));
  }
  outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  outcome.out = slurp(folder / "out");
  outcome.err = slurp(folder / "err");
  outcome.peak_kib = usage.ru_maxrss;
  return outcome;
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace nagl::testing
