#include "nagl/jobs/encoder_setup.h"

#include <torch/version.h>

#include <opencv2/core.hpp>

#include "nagl/core/device.h"
#include "nagl/core/options.h"
#include "nagl/core/version.h"

namespace nagl::jobs {

PictureEncoder make_encoder(const RuntimeOptions& runtime, const EncodingOptions& options,
                            const JobObserver& observer) {
  options.check();
  configure_numerics();
  cv::setNumThreads(set_threads(runtime));
  auto backbone =
      load_backbone(runtime, {.layer = options.layer, .precision = options.precision}, observer);
  const std::int64_t batch_size = batch_size_for(runtime, *backbone);
  PictureEncoder encoder(std::move(backbone), options, batch_size);
  observer.info("backbone " + encoder.backbone().describe());
  return encoder;
}

Json describe_encoder(const PictureEncoder& encoder) {
  Json described = describe_backbone(encoder.backbone());
  described["versions"] = {{"nagl", version()}, {"torch", TORCH_VERSION}, {"opencv", CV_VERSION}};
  described["batch_size"] = encoder.batch_size();
  const ImageSize size = encoder.options().image_size;
  described["image_size"] = {size.height, size.width};
  described["preprocess_version"] = kPreprocessVersion;
  described["encoding"] = option_to_json(encoder.options());
  return described;
}

}  // namespace nagl::jobs
