#include <nanobind/stl/string.h>

#include "bind.h"
#include "call.h"
#include "keywords.h"
#include "nagl/core/error.h"
#include "nagl/jobs/evaluate_on.h"
#include "nagl/jobs/synthesize.h"
#include "nagl/jobs/train_on.h"

namespace nagl::python {
namespace {

constexpr const char* kData = "data: Path | Sequence[Path] | None, out: Path";
constexpr const char* kLayout = "format: str = 'auto', modality: str | None = None";

/// The keywords of a call, with its first argument among them.
Keywords with_data(const nb::kwargs& given, const nb::object& data) {
  const nb::kwargs all = given;
  all["data"] = data;
  return Keywords(all);
}

/// What trainings and evaluations take alike.
template <typename Request>
void take_what_is_common(Keywords& keywords, Request& request, bool merges) {
  keywords.take("data", request.data);
  keywords.take("resume", request.resume);
  keywords.take("format", request.format);
  keywords.take("modality", request.modality);
  take_experiment(keywords, request.config, request.settings);
  take_encoding(keywords, request.encoding);
  take_sharding(keywords, request.sharding, request.runtime, merges);
  take_runtime(keywords, request.runtime);
  keywords.take("backbone", request.runtime.backbone);
}

nb::object train(const nb::object& data, const std::filesystem::path& out,
                 const nb::kwargs& given) {
  jobs::TrainRequest request;
  request.out = out;
  Keywords keywords = with_data(given, data);
  take_what_is_common(keywords, request, /*merges=*/false);
  keywords.take("store", request.store);
  const nb::object epoch = keywords.pop("epoch");
  Call call(keywords.pop("progress"));
  keywords.finish();
  const jobs::TrainResult result = call.run([&] {
    auto observer = call.observer<jobs::TrainObserver>();
    if (!epoch.is_none()) {
      observer.epoch = [&](const EpochRecord& record, std::int64_t epochs) {
        call.python([&] { epoch(to_python(to_json(record)), epochs); });
      };
    }
    return jobs::train_on(request, observer);
  });
  Json described;
  described["model"] = result.model.string();
  described["curve"] = result.curve.string();
  described["history"] = Json::array();
  for (const auto& record : result.history) described["history"].push_back(to_json(record));
  described["best"] = result.best ? to_json(*result.best) : Json();
  described["encoded_only"] = result.encoded_only;
  return to_python(described);
}

/// Numbers of references, of abnormal ones also the word `each`.
std::vector<std::int64_t> shots_of(Keywords& keywords, const char* name, bool abnormal) {
  const nb::object given = keywords.pop(name);
  std::vector<std::int64_t> shots;
  if (given.is_none()) return shots;
  const auto add = [&](nb::handle one) {
    if (abnormal && nb::isinstance<nb::str>(one) && nb::cast<std::string>(one) == "each") {
      shots.push_back(kOneOfEach);
      return;
    }
    std::int64_t count = -1;
    if (!nb::try_cast(one, count) || count < 0) {
      throw ConfigError(fmt::format("{}: '{}' is not a number of shots{}", name,
                                    nb::str(nb::handle(one)).c_str(),
                                    abnormal ? "; numbers from 0 or the word each" : ""));
    }
    shots.push_back(count);
  };
  if (nb::isinstance<nb::str>(given) || PyLong_Check(given.ptr()) != 0) {
    add(given);
  } else {
    for (nb::handle one : given) add(one);
  }
  return shots;
}

nb::object evaluate(const nb::object& data, const std::filesystem::path& out,
                    const nb::kwargs& given) {
  jobs::EvaluateRequest request;
  request.out = out;
  Keywords keywords = with_data(given, data);
  take_what_is_common(keywords, request, /*merges=*/true);
  keywords.take("submission", request.submission);
  keywords.take("model", request.model);
  keywords.take("references", request.references);
  keywords.take("roi", request.roi);
  keywords.take("protocol", request.protocol);
  std::vector<std::string> methods;
  keywords.take("methods", methods);
  for (const auto& name : methods) request.methods.push_back(parse_as<Method>(name));
  request.normal_shots = shots_of(keywords, "normal_shots", /*abnormal=*/false);
  request.abnormal_shots = shots_of(keywords, "abnormal_shots", /*abnormal=*/true);
  keywords.take("seeds", request.seeds);
  take_references(keywords, request.reference_options);
  take_tiling(keywords, request.encoding);
  Call call(keywords.pop("progress"));
  keywords.finish();
  return to_python(call.run([&] { return jobs::evaluate_on(request, call.observer()).all; }));
}

void synth(const std::filesystem::path& out, const nb::kwargs& given) {
  SyntheticOptions options;
  Keywords keywords(given);
  keywords.take("seed", options.seed);
  keywords.take("size", options.size);
  keywords.take("train_good", options.train_good);
  keywords.take("test_good", options.test_good);
  keywords.take("test_defect", options.test_defect);
  Call call(keywords.pop("progress"));
  keywords.finish();
  call.run([&] { jobs::synthesize(out, options, call.observer()); });
}

}  // namespace

void bind_experiments(nb::module_& module) {
  constexpr const char* kPath = "backbone: Path | None = None";
  module.def(
      "train", train, nb::arg("data").none(), nb::arg("out"), nb::arg("options"),
      nb::sig(fmt::format("def train({}, *, store: Path | None = None, resume: bool = "
                          "False, {}, {}, {}, {}, {}, {}, epoch: Callable[[dict[str, typing.Any], "
                          "int], object] | None = None, progress: Progress | None = None) -> "
                          "dict[str, typing.Any]",
                          kData, kLayout, kExperiment, kPath, kEncoding, kRuntime, kSharding)
                  .c_str()),
      "Learns, on a source domain, how to use pictures of defects in domains never seen before, "
      "as\n`nagl train` does.\n\n"
      "data: a data set, or a category of one, or several; None: as config or the run says\n"
      "out: folder of the training: model.safetensors, metrics.csv, curve.svg, run.json\n"
      "store: folder of encoded pictures, which several trainings may share\n"
      "resume: go on where the training in out stopped\n"
      "config: a file of options; settings: options as {'trainer.epochs': 5}\n"
      "epoch: is called after each epoch with its figures and how many there are\n"
      "progress: is called with (stage, done, total)\n\n"
      "Returns model and curve (paths), history (figures of the epochs), best (None without a\n"
      "validation), encoded_only. Ctrl-C leaves a training that resume goes on with.");
  module.def(
      "evaluate", evaluate, nb::arg("data").none(), nb::arg("out"), nb::arg("options"),
      nb::sig(fmt::format(
                  "def evaluate({}, *, resume: bool = False, submission: Path | None "
                  "= None, model: Path | None = None, references: Path | "
                  "None = None, roi: Path | None = None, {}, protocol: str = "
                  "'strict', methods: str | Sequence[str] | None = None, normal_shots: int | "
                  "Sequence[int] | None = None, abnormal_shots: int | str | Sequence[int | str] | "
                  "None = None, seeds: int | None = None, {}, {}, {}, {}, {}, {}, {}, merge: bool "
                  "= False, progress: Progress | None = None) -> dict[str, typing.Any]",
                  kData, kLayout, kReferences, kTiling, kExperiment, kPath, kEncoding, kRuntime,
                  kSharding)
                  .c_str()),
      "Scores a whole benchmark under a stated protocol, as `nagl evaluate` does.\n\n"
      "data: a data set, or a category of one, or several; None: as config says\n"
      "out: folder for results.json, tables, report.html and overlays\n"
      "model: the model.safetensors of a training, for nagl and nagl_standardised\n"
      "methods: None: all, those of nagl with a model\n"
      "normal_shots, abnormal_shots: numbers of references; 'each': a defect of each type\n"
      "seeds: how often references are drawn\n"
      "others: as the command line's options of the same names (nagl evaluate --help)\n\n"
      "Returns what results.json holds. Ctrl-C leaves an evaluation that resume goes on with.");
  const SyntheticOptions defaults;
  module.def(
      "synth", synth, nb::arg("out"), nb::arg("options"),
      nb::sig(fmt::format("def synth(out: Path, *, seed: int = {}, size: int = {}, "
                          "train_good: int = {}, test_good: int = {}, test_defect: int = {}, "
                          "progress: Progress | None = None) -> None",
                          defaults.seed, defaults.size, defaults.train_good, defaults.test_good,
                          defaults.test_defect)
                  .c_str()),
      "Makes a data set to try nagl on, below out, in MVTec AD's layout, as `nagl synth` does.\n\n"
      "seed: the same seed gives the same pictures\n"
      "size: height and width of a picture in pixels\n"
      "train_good, test_good: good pictures a category\n"
      "test_defect: pictures a category and defect type");
}

}  // namespace nagl::python
