#include "nagl/core/memory.h"

#include <sys/resource.h>

#include <limits>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace nagl {

double peak_memory_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;  // Linux: KiB
}

void keep_freed_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the largest it takes
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  mallopt(M_ARENA_MAX, 2);  // each would keep what its threads freed
#endif
}

}  // namespace nagl
