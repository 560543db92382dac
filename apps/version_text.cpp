#include <fmt/format.h>
#include <torch/torch.h>

#include <opencv2/core/version.hpp>

#include "commands.h"
#include "nagl/core/device.h"
#include "nagl/core/version.h"

namespace nagl::apps {

std::string version_text() {
  return fmt::format("nagl {}\nTorch {}\nOpenCV {}\ndevice {}", version(), TORCH_VERSION,
                     CV_VERSION, describe_device(parse_device("auto")));
}

}  // namespace nagl::apps
