#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/string.h>

#include "bind.h"
#include "call.h"
#include "keywords.h"
#include "nagl/core/error.h"
#include "nagl/core/options.h"
#include "nagl/jobs/bank_change.h"

namespace nagl::python {
namespace {

BankHandle load(const std::filesystem::path& path) {
  Call call;
  return call.run([&] { return BankHandle{load_bank(path, at::kCPU), nullptr}; });
}

void save(const BankHandle& self, const std::filesystem::path& path, nb::handle given,
          const nb::kwargs& options) {
  bool overwrite = false;
  std::size_t keep = jobs::kKeptGenerations;
  Keywords keywords(options);
  keywords.take("overwrite", overwrite);
  keywords.take("keep", keep);
  keywords.finish();
  jobs::RuntimeOptions runtime;
  auto backbone = given_backbone(given, runtime.backbone);
  if (!backbone) backbone = self.backbone;
  Call call;
  call.run([&] {
    std::error_code error;
    if (!overwrite && std::filesystem::exists(path, error)) {
      throw ConfigError(
          fmt::format("'{}' exists; give overwrite=True to replace it", path.string()));
    }
    if (!backbone) {
      backbone = jobs::load_backbone(runtime, {.layer = self.bank.origin.layer}, call.observer());
    }
    check_origin(self.bank, *backbone);
    jobs::save_change(path, self.bank, *backbone, "save", keep);
  });
}

nb::object pictures(const std::vector<EnrolledPicture>& pictures) {
  return to_python(option_to_json(pictures));
}

}  // namespace

void bind_bank(nb::module_& module) {
  nb::class_<BankHandle> type(
      module, "Bank",
      "References, encoded: all that scoring needs beside the backbone. `nagl.enroll` makes one.");
  type.def_static("load", load, nb::arg("path"), nb::sig("def load(path: Path) -> Bank"),
                  "Reads a bank's file, of `save` or of the command line.\n\n"
                  "Raises ModelError naming the file if it is no bank, or damaged.");
  type.def("save", save, nb::arg("path"), nb::arg("backbone") = nb::none(), nb::arg("options"),
           nb::sig(fmt::format("def save(self, path: Path, {}, *, overwrite: bool = "
                               "False, keep: int = {}) -> None",
                               kBackbone, jobs::kKeptGenerations)
                       .c_str()),
           "Writes the bank's file, whole or not at all.\n\n"
           "backbone: whose features it holds; None: the one it was enrolled with, of a bank that "
           "was\n    loaded $NAGL_BACKBONE\n"
           "overwrite: replace a file that is there, which becomes a generation (nagl bank undo)\n"
           "keep: so many generations at most\n\n"
           "Raises ConfigError if the file exists, DataError if it cannot be written.");
  type.def_prop_ro(
      "normal", [](const BankHandle& self) { return pictures(self.bank.normal); },
      nb::sig("def normal(self) -> list[dict[str, typing.Any]]"),
      "The good pictures: path, checksum, modified, width and height in pixels.");
  type.def_prop_ro(
      "abnormal", [](const BankHandle& self) { return pictures(self.bank.abnormal); },
      nb::sig("def abnormal(self) -> list[dict[str, typing.Any]]"),
      "The pictures of defects, alike.");
  type.def_prop_ro(
      "method", [](const BankHandle& self) { return to_string(self.bank.scored_by()); },
      "What its pictures are scored by: of `auto` what it comes down to.");
  type.def_prop_ro(
      "options",
      [](const BankHandle& self) { return to_python(option_to_json(self.bank.options)); },
      nb::sig("def options(self) -> dict[str, typing.Any]"),
      "What it was made with, as `nagl inspect` shows it.");
  type.def_prop_ro(
      "calibration",
      [](const BankHandle& self) -> nb::object {
        const auto shown = self.bank.shown_calibration();
        return shown ? to_python(option_to_json(*shown)) : nb::none();
      },
      nb::sig("def calibration(self) -> dict[str, typing.Any] | None"),
      "As `nagl.calibrate` returned it; None: it is not calibrated.");
  type.def("__repr__", [](const BankHandle& self) {
    return fmt::format("<nagl.Bank of {} good pictures and {} of defects, {}{}>",
                       self.bank.normal_count(), self.bank.abnormal.size(),
                       to_string(self.bank.scored_by()),
                       self.bank.calibration ? ", calibrated" : "");
  });
}

}  // namespace nagl::python
