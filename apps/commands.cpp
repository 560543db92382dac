#include "commands.h"

#include <fmt/format.h>
#include <torch/version.h>

#include <opencv2/core/utils/logger.hpp>
#include <opencv2/core/version.hpp>

#include "nagl/core/device.h"
#include "nagl/core/version.h"

namespace nagl::apps {

void add_commands(CLI::App& app, int& exit_code) {
  cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT);
  add_score(app, exit_code);
  add_enroll(app, exit_code);
  add_calibrate(app, exit_code);
  add_feedback(app, exit_code);
  add_bank(app, exit_code);
  add_serve(app, exit_code);
  add_train(app, exit_code);
  add_evaluate(app, exit_code);
  add_inspect(app, exit_code);
  add_synth(app, exit_code);
  add_benchmark(app, jobs::picture_parts);
  add_completion(app, exit_code);
}

const char* description() {
  return "nagl finds defects in pictures from a handful of good examples, with no training on your "
         "parts.\n\n"
         "  nagl score --normal good/ --out result/ new/    scores every picture below new/\n"
         "  nagl enroll --normal good/ --out part.safetensors    encodes references once, into a "
         "bank\n"
         "  nagl calibrate --bank part.safetensors          chooses thresholds, for verdicts\n"
         "  nagl feedback part.safetensors --good ok.png    learns from a mistake\n"
         "  nagl bank show part.safetensors                 what is in a bank; remove, undo, "
         "merge\n"
         "  nagl serve --bank part=part.safetensors         answers over HTTP, with a page to try "
         "it\n"
         "  nagl train --data source/ --out runs/source     learns from defects of another domain\n"
         "  nagl evaluate --data target/ --out results/     measures it on a benchmark\n"
         "  nagl benchmark                                  measures its speed on this machine\n"
         "  nagl synth --out demo/                          makes pictures to try it on\n";
}

std::string version_text() {
  return fmt::format("nagl {}\nTorch {}\nOpenCV {}\ndevice {}", version(), TORCH_VERSION,
                     CV_VERSION, describe_device(parse_device("auto")));
}

}  // namespace nagl::apps
