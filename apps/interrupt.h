#pragma once

namespace nagl::apps {

/// From now on SIGINT, SIGTERM and SIGHUP only set a flag, so that what was computed can be saved.
void catch_interrupts();

/// Whether one of them came.
bool interrupted();

}  // namespace nagl::apps
