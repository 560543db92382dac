#include "nagl/jobs/score.h"

#include <fmt/format.h>
#include <fmt/ostream.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>

#include "commands.h"
#include "console.h"
#include "exit_code.h"
#include "nagl/core/duration.h"
#include "nagl/core/error.h"
#include "nagl/jobs/score_video.h"
#include "picture_flags.h"
#include "publish_flags.h"
#include "video_flags.h"

namespace nagl::apps {
namespace {

struct ScoreFlags {
  std::vector<std::filesystem::path> queries;  ///< `-`: a list of paths on standard input
  jobs::WatchOptions watch;
  jobs::VideoOptions video;
  jobs::ScoreOptions options;
  bool json = false, no_overlays = false, no_report = false, triggered = false;

  bool lists() const { return queries.size() == 1 && queries.front() == "-"; }
  bool streams() const { return !watch.folder.empty() || !video.source.empty() || lists(); }
};

void check_queries(const ScoreFlags& flags) {
  const bool watches = !flags.watch.folder.empty(), shows = !flags.video.source.empty();
  if (watches && shows) throw ConfigError("--watch and --video: give one of them");
  if (flags.queries.empty() == !(watches || shows)) {
    throw ConfigError(
        watches ? "--watch takes no other pictures"
        : shows ? "--video takes no other pictures"
                : "nothing to score: name pictures, folders, -, --watch FOLDER or --video SOURCE");
  }
  if (!shows && (flags.triggered || !flags.video.annotated.empty() || flags.video.every != 1)) {
    throw ConfigError("--every, --trigger and --video-out need --video");
  }
  for (const auto& query : flags.queries) {
    if (query == "-" && flags.queries.size() > 1) {
      throw ConfigError("- takes no other pictures; list them all on standard input");
    }
  }
}

/// Prints the pictures' scores as they come: a table, or JSON lines.
class ScorePrinter {
 public:
  ScorePrinter(Console& console, bool json) : console_(console), json_(json) {}

  void begin(const std::vector<jobs::QueryFile>& queries, const Detector& detector) {
    judged_ = detector.thresholds().has_value();
    for (const auto& query : queries) {
      name_width_ = std::max(name_width_, query.file.relative().string().size());
    }
    if (json_) return;
    fmt::print(std::cout, "{:<{}}  score   {}label\n", "file", name_width_,
               judged_ ? "verdict    " : "");
  }

  void print(const jobs::ScoreRecord& record) const {
    console_.clear();
    if (json_) {
      std::cout << dump_json(record.json()) << std::endl;
      return;
    }
    const auto& known = record.query.known;
    fmt::print(std::cout, "{:<{}}  {}  {}{}\n", record.query.file.relative().string(), name_width_,
               record.error ? "skipped" : fmt::format("{:.4f}", record.image_score),
               judged_ ? fmt::format("{:<11}", record.error ? "" : to_string(record.verdict)) : "",
               known ? known->defect : "");
    std::cout.flush();
  }

 private:
  Console& console_;
  bool json_, judged_ = false;
  std::size_t name_width_ = 4;
};

void print_summary(const Json& summary, const jobs::OutputPlan& plan) {
  const auto scored = summary["scored"].get<std::size_t>();
  const auto seconds = summary["seconds"].get<double>();
  fmt::print(std::cout, "\n{} pictures scored in {}", scored, format_duration(seconds));
  if (scored > 0) fmt::print(std::cout, " ({:.2f} s each)", seconds / static_cast<double>(scored));
  if (const auto skipped = summary["skipped"].get<std::size_t>(); skipped > 0) {
    fmt::print(std::cout, ", {} skipped", skipped);
  }
  if (summary.contains("called_anomalous")) {
    fmt::print(std::cout, ", {} anomalous", summary["called_anomalous"].get<std::size_t>());
  }
  if (summary.contains("called_uncertain")) {
    fmt::print(std::cout, ", {} uncertain", summary["called_uncertain"].get<std::size_t>());
  }
  fmt::print(std::cout, "\n");
  if (summary["image_auroc"].is_number()) {
    fmt::print(std::cout, "image AUROC {:.2f} % ({} good, {} anomalous)\n",
               100 * summary["image_auroc"].get<double>(), summary["good"].get<std::size_t>(),
               summary["anomalous"].get<std::size_t>());
  }
  if (!plan.masks.empty()) fmt::print(std::cout, "masks:    {}\n", plan.masks.string());
  if (plan.out.empty()) return;
  if (plan.report) fmt::print(std::cout, "report:   {}\n", plan.html().string());
  if (plan.overlays) fmt::print(std::cout, "overlays: {}\n", (plan.out / "overlays").string());
  fmt::print(std::cout, "results:  {}\n", plan.csv().string());
}

int run_score(ScoreFlags& flags) {
  check_queries(flags);
  jobs::ScoreOptions& options = flags.options;
  options.overlays = !flags.no_overlays;
  options.report = !flags.no_report;
  if (flags.triggered) flags.video.triggers = STDIN_FILENO;
  Console console;
  ScorePrinter printer(console, flags.json || flags.streams());
  auto observer = console.observer<jobs::ScoreObserver>();
  // Where nothing is kept or sent there is nothing left to do once nobody sees the scores any more.
  observer.stop = [&, interrupted = observer.stop] {
    const bool kept = !options.out.empty() || !options.masks_out.empty() ||
                      !flags.video.annotated.empty() || options.publish.any();
    return interrupted() || (!kept && !std::cout);
  };
  observer.started = [&](const std::vector<jobs::QueryFile>& queries, const Detector& detector) {
    printer.begin(queries, detector);
  };
  observer.scored = [&](const jobs::ScoreRecord& record) { printer.print(record); };
  const jobs::ScoreResult result =
      flags.lists()                 ? jobs::score_listed(options, STDIN_FILENO, observer)
      : !flags.video.source.empty() ? jobs::score_video(options, flags.video, observer)
      : flags.streams()             ? jobs::watch_folder(options, flags.watch, observer)
                                    : jobs::score_folder(options, flags.queries, observer);
  console.clear();
  const bool part = options.sharding.shared() && !result.complete;
  if (!flags.json && !flags.streams() && !part) print_summary(result.summary, result.plan);
  std::cout.flush();
  if (!std::cout) throw Error("standard output cannot be written");
  if (!result.complete) throw Error("interrupted; what was scored so far is saved");
  if (options.needs_verdict && result.summary.value("called_anomalous", std::size_t{0}) > 0) {
    return kAnomalyFound;
  }
  return result.summary["skipped"].get<std::size_t>() > 0 ? kDataFailure : kSuccess;
}

}  // namespace

void add_score(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<ScoreFlags>();
  jobs::ScoreOptions& options = flags->options;
  auto* command = app.add_subcommand(
      "score",
      "Score pictures against reference folders or a bank: for each an image score, an anomaly map "
      "and an overlay; with a calibrated bank a verdict and regions too.\n\n"
      "  nagl score --normal good/ --out result/ new/\n"
      "  nagl score --normal good/ --abnormal bad/ --masks bad_masks/ --out result/ new/\n"
      "  nagl score --normal good/ --abnormal bad/ --masks bad_masks/ --method nagl --model "
      "runs/source/model.safetensors new/\n"
      "  nagl score --bank part.safetensors --out result/ new/        a bank of nagl enroll\n"
      "  nagl score --bank part.safetensors --watch inbox/            pictures as they come\n"
      "  find new/ -name '*.png' | nagl score --bank part.safetensors -\n"
      "  nagl score --bank part.safetensors --video line.mp4 --every 10 --video-out seen.mp4\n");
  command->add_option("query", flags->queries,
                      "Pictures, or folders of them (recursively); - reads a list of paths, one a "
                      "line, from standard input");
  command
      ->add_option("--watch", flags->watch.folder,
                   "Score the pictures of a folder, and further ones as they appear, one JSON line "
                   "each, until interrupted")
      ->group("Queries");
  command
      ->add_option("--settle", flags->watch.settle,
                   "Seconds that a watched file must not have changed before it counts as complete")
      ->check(real_range(0.1, 3600.0))
      ->capture_default_str()
      ->group("Queries");
  add_video_flags(*command, flags->video, flags->triggered, options.normal_frames);
  command
      ->add_option("--roi", options.roi,
                   "Where to look: a mask picture for all queries, or a folder of them matched by "
                   "stem; patches outside do not count")
      ->group("Queries");
  command
      ->add_option(
          "--bank", options.bank,
          "References and settings from a bank that nagl enroll wrote, instead of --normal")
      ->group("References");
  add_picture_flags(*command, options.pictures);
  add_bank_flags(*command, options.request);

  constexpr const char* kVerdicts = "Verdicts";
  jobs::VerdictRequest& verdict = options.verdict;
  command
      ->add_option("--threshold", verdict.threshold,
                   "Anomalous above this image score, whatever the bank was calibrated to")
      ->group(kVerdicts);
  command
      ->add_option("--map-threshold", verdict.map_threshold,
                   "Regions are hotter than this somewhere, and reach four fifths of the way down "
                   "to what good pictures usually have")
      ->default_str("the calibration's, else --threshold")
      ->group(kVerdicts);
  command
      ->add_flag("--uncertain", verdict.uncertain,
                 "A third verdict, uncertain, between the two thresholds of the calibration: for "
                 "somebody to look at")
      ->group(kVerdicts);
  command
      ->add_option("--uncertain-threshold", verdict.uncertain_threshold,
                   "The same, above this image score up to the threshold")
      ->group(kVerdicts);
  command->add_option("--min-area", verdict.least_area, "Smaller regions are none, in pixels")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 40))
      ->default_str("0")
      ->group(kVerdicts);

  constexpr const char* kOutput = "Output";
  command
      ->add_option(
          "--out", options.out,
          "Folder for maps/, overlays/, report.html, results.jsonl, results.csv, regions.csv "
          "and run.json (without it: scores only)")
      ->group(kOutput);
  command
      ->add_option(
          "--masks-out", options.masks_out,
          "Folder for a binary mask a picture: PNG of its size, 255 in its regions, else 0")
      ->group(kOutput);
  command->add_flag("--overwrite", options.overwrite, "Replace files that exist")->group(kOutput);
  command->add_flag("--json", flags->json, "Print one JSON line a picture instead of a table")
      ->group(kOutput);
  add_text_option(
      *command, "--map-format",
      [&options](const std::string& text) { parse(text, options.map_format); },
      "png: 16 bit, round(65535 x score); npy: float32, exact")
      ->check(CLI::IsMember({"png", "npy"}))
      ->default_str("png")
      ->group(kOutput);
  command->add_flag("--no-overlays", flags->no_overlays, "Draw no overlays")->group(kOutput);
  command->add_flag("--no-report", flags->no_report, "Write no report.html")->group(kOutput);
  command
      ->add_flag("--sorted", options.sorted,
                 "Copy the pictures to OUT/sorted/normal, anomalous and (--uncertain) uncertain; "
                 "needs a calibrated bank or --threshold")
      ->group(kOutput);
  command
      ->add_flag("--fail-on-anomaly", options.needs_verdict,
                 "Exit with code 10 if any picture is anomalous; needs a calibrated bank or "
                 "--threshold")
      ->group(kOutput);
  add_text_option(
      *command, "--scale", [&options](const std::string& text) { parse(text, options.scale); },
      "Colours of the overlays: references: one scale for the run, from what good "
      "references score; auto: one a picture")
      ->check(CLI::IsMember({"references", "auto"}))
      ->default_str("references")
      ->group(kOutput);
  add_publish_flags(*command, options.publish);
  add_shard_flags(*command, options.sharding, options.runtime, true);
  add_backbone_flags(*command, options.runtime, options.request.encoding);
  command->callback([flags, &exit_code] { exit_code = run_score(*flags); });
}

}  // namespace nagl::apps
