#pragma once

namespace nagl {

/// The largest amount of memory that this process has held so far, in MiB.
double peak_memory_mib();

/// Lets the allocator keep what is freed, where the C library has such a setting (glibc). Each pass
/// and each step frees large tensors and asks for the like again: to give their pages back to the
/// kernel and have them cleared anew costs a twentieth of a backbone pass, and a fifth of a
/// training step. Of the whole process, so for programs to call, not for libraries.
void keep_freed_memory();

}  // namespace nagl
