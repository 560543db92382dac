#include <ATen/core/grad_mode.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/string.h>

#include <opencv2/core.hpp>
#include <opencv2/core/utility.hpp>

#include "bind.h"
#include "call.h"
#include "keywords.h"
#include "nagl/jobs/encoder_setup.h"
#include "pictures.h"

namespace nagl::python {
namespace {

/// What Backbone's constructors take.
struct BackboneOptionsGiven {
  jobs::RuntimeOptions runtime;
  EncodingOptions encoding;

  explicit BackboneOptionsGiven(const nb::kwargs& given) {
    Keywords keywords(given);
    keywords.take("layer", encoding.layer);
    keywords.take("precision", encoding.precision);
    take_runtime(keywords, runtime);
    keywords.finish();
  }
};

constexpr const char* kOptions =
    "layer: int | None = None, device: str = 'auto', precision: str = 'float32', "
    "threads: int | None = None";

BackboneHandle load(const nb::object& path, const nb::kwargs& given) {
  BackboneOptionsGiven options(given);
  if (!path.is_none()) {
    if (!is_path(path)) Keywords::refuse("path", path, "a path");
    options.runtime.backbone = nb::cast<std::filesystem::path>(path);
  }
  Call call;
  return call.run([&] {
    return BackboneHandle{
        jobs::make_encoder(options.runtime, options.encoding, call.observer()).shared_backbone()};
  });
}

BackboneHandle random(std::uint64_t seed, const nb::kwargs& given) {
  const BackboneOptionsGiven options(given);
  Call call;
  return call.run([&] {
    configure_numerics();
    cv::setNumThreads(jobs::set_threads(options.runtime));
    BackboneOptions backbone;
    backbone.layer = options.encoding.layer;
    backbone.precision = options.encoding.precision;
    backbone.device = jobs::device_of(options.runtime);
    return BackboneHandle{std::make_shared<Backbone>(RandomWeights{seed}, backbone)};
  });
}

nb::object encode(const BackboneHandle& handle, nb::handle given, const nb::kwargs& options) {
  EncodingOptions encoding;
  Keywords keywords(options);
  keywords.take("image_size", encoding.image_size);
  keywords.finish();
  encoding.layer = handle.backbone->layer();
  const Picture picture = picture_from(given, "the picture");
  Call call;
  return as_array(call.run([&] {
    const c10::InferenceMode guard;
    const PictureEncoder encoder(handle.backbone, encoding);
    const Image image = picture.read(encoder.options().decode);
    const PatchGrid grid = encoder.grid();
    return encoder.encode(encoder.pixels(image.rgb).unsqueeze(0))
        .to(at::kCPU)
        .view({grid.rows, grid.columns, handle.backbone->width()});
  }));
}

}  // namespace

void bind_backbone(nb::module_& module) {
  nb::class_<BackboneHandle> type(
      module, "Backbone",
      "A frozen DINOv2 or DINOv3: pictures in, patch features out. Threads may share one.");
  type.def(
      "__init__",
      [](BackboneHandle* self, const nb::object& path, const nb::kwargs& options) {
        new (self) BackboneHandle(load(path, options));
      },
      nb::arg("path") = nb::none(), nb::arg("options"),
      nb::sig(fmt::format("def __init__(self, path: Path | None = None, *, {}) -> None", kOptions)
                  .c_str()),
      "Loads a backbone's file.\n\n"
      "path: a safetensors file of scripts/fetch_backbone.py; None: $NAGL_BACKBONE\n"
      "layer: block whose features are taken, from 0; None: what the file recommends\n"
      "device: auto, cpu, cuda or cuda:N\n"
      "precision: float32, bfloat16, float16 or auto\n"
      "threads: CPU threads of the process; None: one a physical core\n\n"
      "Raises ModelError naming the file, ConfigError if it has no such layer, DeviceError.");
  type.def_static(
      "random", random, nb::arg("seed") = 0, nb::arg("options"),
      nb::sig(fmt::format("def random(seed: int = 0, *, {}) -> Backbone", kOptions).c_str()),
      "A ViT-S/14 with random weights, which are a pure function of the seed: of the right size "
      "and\nspeed, for tests and measurements without a file.");
  type.def("encode", encode, nb::arg("picture").none(), nb::arg("options"),
           nb::sig("def encode(self, picture: Picture, *, image_size: int | tuple[int, int] = 448) "
                   "-> numpy.typing.NDArray[numpy.float32]"),
           "The patch features of one picture: float32 [h, w, C], a row and column a patch.\n\n"
           "image_size: a side or (height, width) in pixels, multiples of the patch, to which the "
           "picture\nis resized whatever its proportions");
  type.def_prop_ro(
      "layer", [](const BackboneHandle& self) { return self.backbone->layer(); },
      "Block whose features are taken, from 0.");
  type.def_prop_ro(
      "width", [](const BackboneHandle& self) { return self.backbone->width(); },
      "Channels C of a feature.");
  type.def_prop_ro(
      "patch", [](const BackboneHandle& self) { return self.backbone->patch(); },
      "Side of a patch in pixels.");
  type.def_prop_ro(
      "device", [](const BackboneHandle& self) { return self.backbone->device().str(); },
      "Where it computes: cpu, cuda:0.");
  type.def_prop_ro(
      "precision", [](const BackboneHandle& self) { return to_string(self.backbone->precision()); },
      "Of weights and activations; features are float32 always.");
  type.def_prop_ro(
      "path", [](const BackboneHandle& self) { return self.backbone->path(); },
      nb::sig("def path(self) -> pathlib.Path"), "Its file, or `random weights`.");
  type.def_prop_ro(
      "provenance", [](const BackboneHandle& self) { return self.backbone->provenance(); },
      "The file's metadata: architecture, source, source_sha256, recommended_layer.");
  type.def("__repr__", [](const BackboneHandle& self) {
    return fmt::format("<nagl.Backbone {}, {}>", self.backbone->describe(),
                       self.backbone->device().str());
  });
}

std::shared_ptr<const Backbone> given_backbone(nb::handle given, std::filesystem::path& path) {
  if (nb::isinstance<BackboneHandle>(given)) return nb::cast<BackboneHandle&>(given).backbone;
  if (given.is_none()) return nullptr;
  if (!is_path(given)) Keywords::refuse("backbone", given, "a nagl.Backbone or a path");
  path = nb::cast<std::filesystem::path>(given);
  return nullptr;
}

}  // namespace nagl::python
