#pragma once

namespace nagl::apps {

/// From now on what libraries print to the C library's `stderr` and to std::cerr goes to the
/// StderrCapture of its thread, if there is one, else to standard error. Once, before there are
/// threads.
void hand_over_error_streams();

}  // namespace nagl::apps
