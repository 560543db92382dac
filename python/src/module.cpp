#include <ATen/Parallel.h>
#include <nanobind/nanobind.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <mutex>

#include "bind.h"
#include "call.h"
#include "nagl/core/memory.h"
#include "nagl/core/version.h"

namespace nagl::python {
namespace {

/// The few warnings that the library logs itself, to Python's logging.
class PythonSink : public spdlog::sinks::base_sink<std::mutex> {
 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const bool worse = message.level > spdlog::level::warn;
    python::log(worse ? jobs::Level::kError : jobs::Level::kWarning,
                std::string(message.payload.data(), message.payload.size()));
  }
  void flush_() override {}
};

}  // namespace

NB_MODULE(_nagl, module) {
  module.doc() = "The compiled part of nagl.";
  module.attr("__version__") = version();
  spdlog::set_default_logger(
      std::make_shared<spdlog::logger>("nagl", std::make_shared<PythonSink>()));
  bind_errors(module);
  bind_backbone(module);
  bind_bank(module);
  bind_detector(module);
  bind_enroll(module);
  bind_experiments(module);
  module.def(
      "keep_freed_memory", [] { keep_freed_memory(); },
      "Lets this process keep the memory that it frees, which makes passes on the CPU faster and "
      "the "
      "process\nlarger, as the command line does. Call it once, before the first picture.");
}

}  // namespace nagl::python
