// How threads wait for each other. OpenMP's (libgomp) spin for milliseconds by default: alone on
// the machine that costs nothing, but where another process has one of the cores, spinning takes it
// from the thread that all wait for. A tenth of a millisecond is enough between two loops of one
// pass.
//
// libgomp reads this from the environment when it is loaded, before `main`. So the program looks
// before the libraries begin, and starts itself again with it set. That takes a seventh of a
// second, since libraries are linked twice: commands that compute little do without. What the user
// has set stays.

#include <alloca.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <initializer_list>

namespace {

char spin_count[] = "GOMP_SPINCOUNT=10000";

bool is_set(char** environment, const char* name) {
  const std::size_t length = std::strlen(name);
  for (char** entry = environment; *entry != nullptr; ++entry) {
    if (std::strncmp(*entry, name, length) == 0 && (*entry)[length] == '=') return true;
  }
  return false;
}

bool computes(const char* command) {
  for (const char* name :
       {"score", "evaluate", "train", "enroll", "calibrate", "feedback", "benchmark"}) {
    if (std::strcmp(command, name) == 0) return true;
  }
  return false;
}

/// Runs before any constructor, those of sanitizers too, so it uses nothing but system calls and
/// its stack.
[[gnu::no_sanitize_address, gnu::no_sanitize_thread]] void wait_briefly(int count_of_arguments,
                                                                        char** arguments,
                                                                        char** environment) {
  if (count_of_arguments < 2 || !computes(arguments[1])) return;
  if (is_set(environment, "GOMP_SPINCOUNT") || is_set(environment, "OMP_WAIT_POLICY")) return;
  std::size_t count = 0;
  while (environment[count] != nullptr) ++count;
  auto** extended = static_cast<char**>(alloca((count + 2) * sizeof(char*)));
  std::memcpy(extended, environment, count * sizeof(char*));
  extended[count] = spin_count;
  extended[count + 1] = nullptr;
  execve("/proc/self/exe", arguments, extended);  // if that fails, all goes on as it is
}

using BeforeConstructors = void (*)(int, char**, char**);
[[gnu::section(".preinit_array"), gnu::used]] const BeforeConstructors begin = wait_briefly;

}  // namespace
