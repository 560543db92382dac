#include "runtime.h"

#include <torch/torch.h>

#include <opencv2/core.hpp>

#include "nagl/core/device.h"
#include "nagl/core/version.h"

namespace nagl::apps {

Runtime start_runtime(const RuntimeOptions& options) {
  configure_numerics();
  cv::setNumThreads(set_threads(options));
  Runtime runtime;
  runtime.image_size = parse_image_size(options.image_size.value_or(kDefaultImageSize));
  runtime.backbone = load_backbone(options);
  runtime.backbone->check_image_size(runtime.image_size.height, runtime.image_size.width);
  runtime.batch_size = options.batch_size > 0                 ? options.batch_size
                       : runtime.backbone->device().is_cuda() ? kCudaBatch
                                                              : 1;
  return runtime;
}

Json describe_runtime(const Runtime& runtime) {
  Json described = describe_backbone(*runtime.backbone);
  described["versions"] = {{"nagl", version()}, {"torch", TORCH_VERSION}, {"opencv", CV_VERSION}};
  described["batch_size"] = runtime.batch_size;
  described["image_size"] = {runtime.image_size.height, runtime.image_size.width};
  described["preprocess_version"] = kPreprocessVersion;
  return described;
}

}  // namespace nagl::apps
