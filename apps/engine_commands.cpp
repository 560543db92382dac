#include <fmt/format.h>
#include <torch/version.h>

#include "commands.h"
#include "nagl/core/device.h"
#include "nagl/core/version.h"

namespace nagl::apps {

void add_commands(CLI::App& app, int&) { add_benchmark(app, {}); }

const char* description() {
  return "The part of nagl that takes and gives tensors, built without OpenCV: it has one command, "
         "which measures its speed.\n\n"
         "  nagl benchmark --random-weights\n";
}

std::string version_text() {
  return fmt::format("nagl {}, the engine alone\nTorch {}\ndevice {}", version(), TORCH_VERSION,
                     describe_device(parse_device("auto")));
}

}  // namespace nagl::apps
