#pragma once

#include <nanobind/nanobind.h>

#include <memory>
#include <string>

#include "nagl/core/json.h"
#include "nagl/core/torch.h"
#include "nagl/detection/bank.h"
#include "nagl/model/backbone.h"

namespace nagl::python {

namespace nb = nanobind;

/// `nagl.Backbone`.
struct BackboneHandle {
  std::shared_ptr<const Backbone> backbone;
};

/// `nagl.Bank`: a bank, and the backbone that made it, where that is at hand.
struct BankHandle {
  Bank bank;
  std::shared_ptr<const Backbone> backbone;
};

/// The same as Python's own values: dict, list, str, int, float, bool, None.
nb::object to_python(const Json& json);
nb::object as_array(const cv::Mat& matrix);     ///< float32 or uint8 [H, W], not copied
nb::object as_array(const at::Tensor& values);  ///< float32 on the CPU, not copied

/// The backbone that was given as an object; null: as a path, which `path` gets, or not at all.
std::shared_ptr<const Backbone> given_backbone(nb::handle given, std::filesystem::path& path);
/// What a signature says of it.
inline constexpr const char* kBackbone = "backbone: Backbone | Path | None = None";

// In the order in which the module makes them.
void bind_errors(nb::module_& module);
void bind_backbone(nb::module_& module);
void bind_bank(nb::module_& module);
void bind_detector(nb::module_& module);
void bind_enroll(nb::module_& module);
void bind_experiments(nb::module_& module);

}  // namespace nagl::python
