#include "nagl/training/trainer.h"

#include <ATen/Parallel.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <memory>
#include <sstream>

#include "nagl/core/error.h"
#include "tensors.h"
#include "training/stored_source.h"

namespace nagl {
namespace {

using testing::message_of;
using testing::slurp;
using testing::small_head;
using testing::spill;
using testing::StoredSource;
using testing::TemporaryFolder;

using State = std::map<std::string, at::Tensor>;

const StoredSource& source() {
  static const auto source = [] {
    auto made = std::make_unique<StoredSource>();
    made->add_products(3);
    return made;
  }();
  return *source;
}

/// Three epochs of three steps, of which the last has two episodes.
TrainerOptions quick() {
  TrainerOptions options;
  options.epochs = 3;
  options.episodes_per_epoch = 10;
  options.batch_size = 4;
  options.learning_rate.rate = 1e-3;
  options.learning_rate.step_epochs = {1};
  return options;
}

HeadOrigin origin() { return {"a backbone", "1234567890abcdef", 7, StoredSource::kWidth}; }

/// Everything of one sitting of a training, as the command makes it.
class Sitting {
 public:
  explicit Sitting(const std::filesystem::path& path, const TrainerOptions& options = quick(),
                   bool validated = false, const HeadOrigin& origin = nagl::origin(),
                   const StoredSource& from = source(), std::uint64_t cache_bytes = 1 << 20,
                   const NaglHeadOptions& head = small_head())
      : loader_(from.loader(cache_bytes)),
        sampler_(from.categories(), episodes(), options.seed),
        validator_(loader_, from.categories("product0"), episodes(), {}, options.seed),
        folder_(path),
        trainer_(options, head,
                 {loader_,
                  sampler_,
                  validated ? &validator_ : nullptr,
                  folder_,
                  origin,
                  {{"note", "kept"}}}) {}

  static EpisodeOptions episodes() {
    EpisodeOptions options;
    options.normal_shots = {1, 2};
    return options;
  }

  Trainer* operator->() { return &trainer_; }
  const RunFolder& folder() const { return folder_; }
  const Validator& validator() const { return validator_; }

  /// Runs to the end, or until the trainer asked for the `stops`th time whether to stop.
  bool run(std::int64_t stops = -1) {
    TrainerObserver observer;
    observer.stop = [&stops] { return --stops == 0; };
    observer.epoch = [this](const EpochRecord& record) {
      auto& weights = after_epoch[record.epoch];
      for (const auto& [name, tensor] : state_of(*trainer_.head())) weights[name] = tensor.clone();
    };
    return trainer_.run(observer);
  }

  std::map<std::int64_t, State> after_epoch;

 private:
  EpisodeLoader loader_;
  EpisodeSampler sampler_;
  Validator validator_;
  RunFolder folder_;
  Trainer trainer_;
};

void expect_same(const State& found, const State& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (const auto& [name, tensor] : expected) EXPECT_TRUE(found.at(name).equal(tensor)) << name;
}

State tensors_in(const std::filesystem::path& path) {
  const WeightsFile file(path);
  State tensors;
  for (const auto& [name, entry] : file.entries()) tensors[name] = file.read(name);
  return tensors;
}

/// All of a training's history but how long it took.
std::string what_happened(const TrainerState& state) {
  std::string text;
  for (auto record : state.history) {
    record.seconds = record.episodes_per_second = 0;
    text += dump_json(to_json(record)) + "\n";
  }
  return text;
}

TEST(Trainer, TheLossFalls) {
  for (const auto form : {LossForm::kPublished, LossForm::kPaper}) {
    const TemporaryFolder folder;
    auto options = quick();
    options.loss = form;
    options.epochs = 8;
    options.episodes_per_epoch = 40;
    options.learning_rate = {3e-3, Schedule::kCosine, {}, 0.1};
    Sitting sitting(folder.path(), options, true);
    const double before = [&] {
      NaglHead untrained(small_head());
      untrained->initialize(options.seed);
      return sitting.validator().evaluate(untrained, 4).score();
    }();
    EXPECT_TRUE(sitting.run());
    const auto& history = sitting->state().history;
    ASSERT_EQ(history.size(), 8U);
    EXPECT_LT(history.back().loss, 0.97 * history.front().loss) << to_string(form);
    EXPECT_GT(sitting->state().best()->validation->score(), before) << to_string(form);
  }
}

/// The heart of resuming: wherever a training stops, its future is that of one that did not.
void expect_resumes_exactly(const TrainerOptions& options) {
  SCOPED_TRACE(to_string(options.loss));
  const TemporaryFolder folder;
  Sitting whole(folder / "whole", options, true);
  ASSERT_TRUE(whole.run());
  const auto checkpoint = tensors_in(whole.folder().checkpoint());
  ASSERT_TRUE(checkpoint.contains("optimizer.learnable_proxies.weight.exp_avg_sq"));

  // Nine steps; asked after each but the last, in the middle of an epoch and at its end.
  for (std::int64_t stops = 1; stops <= 8; ++stops) {
    SCOPED_TRACE(stops);
    const auto path = folder / ("stopped" + std::to_string(stops));
    {
      Sitting first(path, options, true);
      EXPECT_FALSE(first->resume().has_value());
      ASSERT_FALSE(first.run(stops));
    }
    // Torch's own random numbers have no part in it.
    at::manual_seed(static_cast<std::uint64_t>(stops));
    Sitting second(path, options, true);
    EXPECT_EQ(second->resume(), at::get_num_threads());
    EXPECT_EQ(second->state().epoch * 3 + second->state().step, stops);
    ASSERT_TRUE(second.run());
    for (const auto& [epoch, weights] : second.after_epoch) {
      expect_same(weights, whole.after_epoch.at(epoch));
    }
    EXPECT_EQ(second.after_epoch.rbegin()->first, 3);
    EXPECT_EQ(what_happened(second->state()), what_happened(whole->state()));
    expect_same(tensors_in(second.folder().checkpoint()), checkpoint);
    expect_same(tensors_in(second.folder().model()), tensors_in(whole.folder().model()));
  }
}

TEST(Trainer, ResumesToTheBitWithThePublishedLoss) { expect_resumes_exactly(quick()); }

TEST(Trainer, ResumesToTheBitWithThePaperLossAndACosine) {
  auto options = quick();
  options.loss = LossForm::kPaper;
  options.learning_rate.schedule = Schedule::kCosine;
  options.gradient_clip = 0.5;
  options.seed = 5;
  expect_resumes_exactly(options);
}

TEST(Trainer, StoppingOverAndOverChangesNothing) {
  const TemporaryFolder folder;
  Sitting whole(folder / "whole");
  ASSERT_TRUE(whole.run());
  bool done = false;
  for (int sittings = 0; !done; ++sittings) {
    ASSERT_LT(sittings, 20);
    Sitting next(folder / "pieces");
    next->resume();
    done = next.run(1);
  }
  expect_same(tensors_in(folder / "pieces/model.safetensors"),
              tensors_in(folder / "whole/model.safetensors"));
}

TEST(Trainer, TheSeedDecidesAndTheCacheDoesNot) {
  const TemporaryFolder folder;
  Sitting first(folder / "a"), without_cache(folder / "b", quick(), false, origin(), source(), 0);
  auto other = quick();
  other.seed = 1;
  Sitting other_seed(folder / "c", other);
  ASSERT_TRUE(first.run() && without_cache.run() && other_seed.run());
  expect_same(without_cache.after_epoch[3], first.after_epoch[3]);
  EXPECT_FALSE(other_seed.after_epoch[3]["rm_sa.self_attn.in_proj_weight"].equal(
      first.after_epoch[3]["rm_sa.self_attn.in_proj_weight"]));
}

TEST(Trainer, AFinishedTrainingStaysAsItIs) {
  const TemporaryFolder folder;
  ASSERT_TRUE(Sitting(folder.path()).run());
  const auto checkpoint = slurp(folder / "checkpoint.safetensors");
  const auto model = slurp(folder / "model.safetensors");
  std::filesystem::remove(folder / "model.safetensors");
  Sitting again(folder.path());
  again->resume();
  EXPECT_TRUE(again.run());
  EXPECT_TRUE(again.after_epoch.empty());
  EXPECT_EQ(slurp(folder / "checkpoint.safetensors"), checkpoint);
  EXPECT_EQ(slurp(folder / "model.safetensors"), model);
}

TEST(Trainer, TheFirstOfEqualValidationsIsTheBest) {
  const TemporaryFolder folder;
  auto options = quick();
  options.learning_rate.rate = 1e-12;  // changes no ranking
  Sitting sitting(folder.path(), options, true);
  ASSERT_TRUE(sitting.run());
  const auto& history = sitting->state().history;
  ASSERT_EQ(history[2].validation->score(), history[0].validation->score());
  EXPECT_TRUE(history[0].best && !history[1].best && !history[2].best);
  EXPECT_EQ(WeightsFile(folder / "best.safetensors").metadata().at("epoch"), "1");
  EXPECT_EQ(WeightsFile(folder / "last.safetensors").metadata().at("epoch"), "3");
  EXPECT_EQ(slurp(folder / "model.safetensors"), slurp(folder / "best.safetensors"));
}

TEST(Trainer, ModelIsTheBestEpochOfAValidation) {
  const TemporaryFolder folder;
  auto options = quick();
  options.epochs = 5;
  options.learning_rate = {1e-2, Schedule::kStep, {}, 1};
  Sitting sitting(folder.path(), options, true);
  ASSERT_TRUE(sitting.run());
  double best = -1;
  std::int64_t best_epoch = 0;
  for (const auto& record : sitting->state().history) {
    EXPECT_EQ(record.best, record.validation->score() > best) << record.epoch;
    if (record.validation->score() > best) {
      best = record.validation->score();
      best_epoch = record.epoch;
    }
  }
  EXPECT_EQ(sitting->state().best()->epoch, best_epoch);
  auto model = load_head(folder / "model.safetensors", at::kCPU);
  EXPECT_EQ(model.metadata.at("epoch"), std::to_string(best_epoch));
  EXPECT_EQ(model.metadata.at("epochs"), "5");
  EXPECT_EQ(model.metadata.at("note"), "kept");
  EXPECT_EQ(model.origin.layer, 7);
  EXPECT_EQ(model.head->options(), small_head());
  EXPECT_EQ(sitting.validator().evaluate(model.head, 4).score(), best);
}

TEST(Trainer, ModelIsTheLastEpochWithoutAValidation) {
  const TemporaryFolder folder;
  Sitting sitting(folder.path());
  ASSERT_TRUE(sitting.run());
  EXPECT_FALSE(std::filesystem::exists(folder / "best.safetensors"));
  EXPECT_EQ(slurp(folder / "model.safetensors"), slurp(folder / "last.safetensors"));
  expect_same(tensors_in(folder / "model.safetensors"), sitting.after_epoch.at(3));
}

TEST(Trainer, TheRecordHoldsMeansAndTheRate) {
  const TemporaryFolder folder;
  auto options = quick();
  options.pixel_weight = 0.25;
  Sitting sitting(folder.path(), options);
  ASSERT_TRUE(sitting.run());
  const auto& history = sitting->state().history;
  for (const auto& record : history) {
    EXPECT_NEAR(record.loss, record.classification + 0.25 * (record.focal + record.dice), 1e-9);
    EXPECT_GT(record.classification, 0);
    EXPECT_FALSE(record.validation.has_value());
  }
  EXPECT_DOUBLE_EQ(history[0].learning_rate, 1e-3);
  EXPECT_DOUBLE_EQ(history[1].learning_rate, 1e-4);

  // Without learning, the losses of the first epoch are those of the initial head, episode by
  // episode.
  options.learning_rate.rate = 1e-30;
  options.epochs = 1;
  Sitting still(folder / "still", options);
  ASSERT_TRUE(still.run());
  NaglHead head(small_head());
  head->initialize(options.seed);
  auto loader = source().loader();
  const EpisodeSampler sampler(source().categories(), Sitting::episodes(), options.seed);
  double classification = 0, focal = 0, dice = 0;
  for (std::int64_t i = 0; i < 10; ++i) {
    const std::vector<Episode> one = {sampler.sample(0, i / 4, i % 4)};
    const auto losses =
        episode_losses(head->forward(loader.references(one), loader.queries(one)), loader.grid(),
                       loader.labels(one), loader.masks(one), options.loss);
    classification += losses.classification.item<double>() / 10;
    focal += losses.focal.item<double>() / 10;
    dice += losses.dice.item<double>() / 10;
  }
  const auto& record = still->state().history[0];
  EXPECT_NEAR(record.classification, classification, 1e-6);
  EXPECT_NEAR(record.focal, focal, 1e-6);
  EXPECT_NEAR(record.dice, dice, 1e-6);
}

TEST(Trainer, ClipsGradients) {
  // After one step, AdamW's mean of gradients is 0.1 of the first one.
  const auto first_gradient = [](double clip) {
    const TemporaryFolder folder;
    auto options = quick();
    options.gradient_clip = clip;
    Sitting sitting(folder.path(), options);
    EXPECT_FALSE(sitting.run(1));
    double squares = 0;
    for (const auto& [name, tensor] : tensors_in(folder / "checkpoint.safetensors")) {
      if (name.ends_with(".exp_avg")) squares += tensor.square().sum().item<double>();
    }
    return 10 * std::sqrt(squares);
  };
  const double free = first_gradient(0);
  ASSERT_GT(free, 1e-2);
  EXPECT_NEAR(first_gradient(1e-3), 1e-3, 1e-7);
  EXPECT_NEAR(first_gradient(10 * free), free, 1e-6 * free);
}

TEST(Trainer, RefusesACheckpointOfAnotherBackbone) {
  const TemporaryFolder folder;
  ASSERT_FALSE(Sitting(folder.path()).run(1));
  const auto refused = [&](const HeadOrigin& other, const std::string& theirs) {
    Sitting sitting(folder.path(), quick(), false, other);
    const auto message = message_of<ModelError>([&] { sitting->resume(); });
    EXPECT_NE(message.find("checkpoint.safetensors"), std::string::npos) << message;
    EXPECT_NE(message.find("a backbone (checksum 1234567890ab), layer 7, width 8"),
              std::string::npos)
        << message;
    EXPECT_NE(message.find(theirs), std::string::npos) << message;
  };
  auto other = origin();
  other.layer = 11;
  refused(other, "layer 11, width 8");
  other = origin();
  other.width = 16;
  refused(other, "layer 7, width 16");
  other = origin();
  other.backbone = "its sister";
  other.backbone_checksum = "fedcba0987654321";
  refused(other, "its sister (checksum fedcba098765)");
}

TEST(Trainer, RefusesACheckpointOfAnotherHead) {
  const TemporaryFolder folder;
  ASSERT_FALSE(Sitting(folder.path()).run(1));
  auto larger = small_head();
  larger.proxies = 4;
  Sitting sitting(folder.path(), quick(), false, origin(), source(), 0, larger);
  const auto message = message_of<ModelError>([&] { sitting->resume(); });
  EXPECT_NE(message.find("model.learnable_proxies.weight"), std::string::npos) << message;
}

TEST(Trainer, RefusesADamagedCheckpoint) {
  const TemporaryFolder folder;
  ASSERT_FALSE(Sitting(folder.path()).run(2));
  const auto path = folder / "checkpoint.safetensors";
  const auto whole = slurp(path);
  const auto refused = [&](const std::string& bytes) {
    spill(path, bytes);
    Sitting sitting(folder.path());
    EXPECT_NE(message_of<ModelError>([&] { sitting->resume(); }).find(path.string()),
              std::string::npos);
    EXPECT_EQ(slurp(path), bytes);
  };
  for (const std::size_t length :
       {std::size_t{0}, std::size_t{5}, std::size_t{500}, whole.size() / 2, whole.size() - 1}) {
    refused(whole.substr(0, length));
  }
  refused("this is no checkpoint");
  refused(whole + "x");
  const auto replace = [&](const std::string& what, const std::string& by) {
    auto bytes = whole;
    bytes.replace(bytes.find(what), what.size(), by);
    return bytes;
  };
  refused(replace("nagl checkpoint", "nagl chEckpoint"));
  refused(replace("model.learnable_proxies", "model.learnable_proxieS"));
  refused(replace("\\\"step\\\":2", "\\\"stop\\\":2"));
  refused(replace("\\\"step\\\":2", "\\\"step\\\":}"));
  refused(replace("\"layer\":\"7\"", "\"layer\":\"x\""));
  // Undamaged, it is taken.
  spill(path, whole);
  Sitting sitting(folder.path());
  EXPECT_TRUE(sitting->resume().has_value());
}

TEST(Trainer, StopsWhereTheLossIsNotFinite) {
  // The first step after resuming goes astray; the loss of the next one shows it.
  for (const auto& [steps_before, place] :
       {std::pair(3, "epoch 2, step 2, episode 1 (query 'product"),
        std::pair(4, "epoch 2, step 3, episode 1 (query 'product")}) {
    const TemporaryFolder folder;
    auto options = quick();
    options.loss = steps_before == 3 ? LossForm::kPublished : LossForm::kPaper;
    ASSERT_FALSE(Sitting(folder.path(), options).run(steps_before));
    const auto checkpoint = slurp(folder / "checkpoint.safetensors");
    const auto last = slurp(folder / "last.safetensors");
    options.learning_rate = {1e30, Schedule::kStep, {}, 1};
    Sitting sitting(folder.path(), options);
    sitting->resume();
    const auto message = message_of<Error>([&] { sitting.run(); });
    EXPECT_NE(message.find(place), std::string::npos) << message;
    EXPECT_NE(message.find("checkpoint of epoch 1 is kept in '" + folder.path().string()),
              std::string::npos)
        << message;
    EXPECT_EQ(slurp(folder / "checkpoint.safetensors"), checkpoint);
    EXPECT_EQ(slurp(folder / "last.safetensors"), last);
    EXPECT_FALSE(std::filesystem::exists(folder / "model.safetensors"));
  }
}

TEST(Trainer, NamesTheEpisodeOfHugeFeatures) {
  // One category only, one of whose good pictures overflows once it is multiplied.
  StoredSource broken;
  const auto random = at::make_generator<at::CPUGeneratorImpl>(3);
  const auto patches = [&] { return torch::randn({16, 8}, random); };
  for (int i = 0; i < 8; ++i) broken.add("part", "", i == 5 ? patches() * 2e37 : patches());
  const auto mask = at::arange(16).lt(4);
  for (int i = 0; i < 3; ++i) broken.add("part", "crack", patches(), mask);
  const TemporaryFolder folder;
  Sitting sitting(folder.path(), quick(), false, origin(), broken);
  const auto message = message_of<Error>([&] { sitting.run(); });
  EXPECT_NE(message.find("the loss is not finite at epoch "), std::string::npos) << message;
  EXPECT_NE(message.find("'part/5.png'"), std::string::npos) << message;
}

TEST(Trainer, AFullDiskKeepsTheOldCheckpoint) {
  const TemporaryFolder folder;
  Sitting whole(folder / "whole");
  ASSERT_TRUE(whole.run());
  const auto path = folder / "full";
  ASSERT_FALSE(Sitting(path).run(3));  // one epoch
  const auto checkpoint = slurp(path / "checkpoint.safetensors");
  const auto room_for_a_head = slurp(path / "last.safetensors").size() + 100;
  ASSERT_LT(room_for_a_head, checkpoint.size());
  signal(SIGXFSZ, SIG_IGN);
  struct rlimit before {};
  getrlimit(RLIMIT_FSIZE, &before);
  for (const auto& [limit, file] : {std::pair(std::size_t{1000}, "last.safetensors"),
                                    std::pair(room_for_a_head, "checkpoint.safetensors")}) {
    Sitting sitting(path);
    sitting->resume();
    const struct rlimit small { limit, before.rlim_max };
    setrlimit(RLIMIT_FSIZE, &small);
    const auto message = message_of<DataError>([&] { sitting.run(); });
    setrlimit(RLIMIT_FSIZE, &before);
    EXPECT_NE(message.find((path / file).string()), std::string::npos) << message;
    EXPECT_EQ(slurp(path / "checkpoint.safetensors"), checkpoint);
  }
  // With room again, it goes on as if nothing had been.
  Sitting sitting(path);
  sitting->resume();
  ASSERT_TRUE(sitting.run());
  expect_same(tensors_in(path / "model.safetensors"),
              tensors_in(folder / "whole/model.safetensors"));
  for (const auto& file : std::filesystem::directory_iterator(path)) {
    EXPECT_NE(file.path().extension(), ".tmp");
  }
}

std::vector<std::vector<std::string>> rows_of(const std::filesystem::path& csv) {
  std::vector<std::vector<std::string>> rows;
  std::istringstream text(slurp(csv));
  for (std::string line; std::getline(text, line);) {
    auto& cells = rows.emplace_back();
    line += ',';
    for (std::size_t begin = 0, end; (end = line.find(',', begin)) != std::string::npos;
         begin = end + 1) {
      cells.push_back(line.substr(begin, end - begin));
    }
  }
  return rows;
}

std::size_t count_of(const std::string& text, const std::string& word) {
  std::size_t count = 0;
  for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++count;
  return count;
}

TEST(RunFolder, HoldsMetricsAndACurve) {
  const TemporaryFolder folder;
  for (const bool validated : {false, true}) {
    const auto path = folder / (validated ? "with" : "without");
    Sitting sitting(path, quick(), validated);
    ASSERT_TRUE(sitting.run());
    const auto rows = rows_of(path / "metrics.csv");
    ASSERT_EQ(rows.size(), 4U);
    EXPECT_EQ(rows[0][0], "epoch");
    for (std::size_t epoch = 1; epoch <= 3; ++epoch) {
      const auto& row = rows[epoch];
      ASSERT_EQ(row.size(), rows[0].size());
      const auto& record = sitting->state().history[epoch - 1];
      EXPECT_EQ(row[0], std::to_string(epoch));
      EXPECT_EQ(rows[0][2], "loss");
      EXPECT_NEAR(std::stod(row[2]), record.loss, 1e-6);
      EXPECT_EQ(rows[0][6], "validation_image_auroc");
      EXPECT_EQ(row[6].empty(), !validated);
      if (validated) {
        EXPECT_NEAR(std::stod(row[6]), record.validation->image_auroc, 1e-6);
      }
      EXPECT_EQ(rows[0][9], "best");
      EXPECT_EQ(row[9], !validated ? "" : record.best ? "1" : "0");
    }
    const auto svg = slurp(path / "curve.svg");
    EXPECT_EQ(svg.rfind("<svg", 0), 0U);
    EXPECT_TRUE(svg.ends_with("</svg>\n"));
    EXPECT_EQ(count_of(svg, "<polyline"), validated ? 7U : 4U);
    EXPECT_EQ(count_of(svg, "<text"), count_of(svg, "</text>"));
    EXPECT_EQ(svg.find("nan"), std::string::npos);
  }
}

TEST(RunFolder, IsHeldByOne) {
  const TemporaryFolder folder;
  const auto path = folder / "run";
  {
    const RunFolder held(path);
    const auto message = message_of<ConfigError>([&] { RunFolder{path}; });
    EXPECT_NE(message.find("another process is training in '" + path.string()), std::string::npos)
        << message;
    const pid_t child = fork();
    if (child == 0) {
      try {
        RunFolder{path};
        _exit(1);
      } catch (const ConfigError&) {
        _exit(0);
      }
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  EXPECT_NO_THROW(RunFolder{path});  // free again
  spill(folder / "file", "x");
  EXPECT_THROW(RunFolder{folder / "file"}, DataError);
}

TEST(Trainer, RefusesOptionsOutOfRange) {
  const TemporaryFolder folder;
  auto options = quick();
  options.beta1 = 1;
  EXPECT_THROW(Sitting(folder.path(), options), ConfigError);
  options = quick();
  options.learning_rate.rate = -1;
  EXPECT_THROW(Sitting(folder.path(), options), ConfigError);
  options = quick();
  options.epochs = 0;
  EXPECT_THROW(Sitting(folder.path(), options), ConfigError);
}

TEST(TrainerOptions, ChecksItsValues) {
  const auto refused = [](auto&& change, const std::string& because) {
    TrainerOptions options;
    change(options);
    const auto message = message_of<ConfigError>([&] { options.check(); });
    EXPECT_NE(message.find(because), std::string::npos) << message;
  };
  using Options = TrainerOptions;
  EXPECT_NO_THROW(Options().check());
  EXPECT_EQ(Options().steps_per_epoch(), 63);
  refused([](Options& o) { o.epochs = 0; }, "trainer.epochs 0");
  refused([](Options& o) { o.episodes_per_epoch = 0; }, "trainer.episodes_per_epoch 0");
  refused([](Options& o) { o.batch_size = 0; }, "trainer.batch_size 0");
  refused([](Options& o) { o.neighbor_cache_mb = -1; }, "trainer.neighbor_cache_mb -1");
  refused([](Options& o) { o.beta1 = 1; }, "trainer.beta1 1");
  refused([](Options& o) { o.beta2 = -0.5; }, "trainer.beta2 -0.5");
  refused([](Options& o) { o.pixel_weight = -1; }, "trainer.pixel_weight -1");
  refused([](Options& o) { o.weight_decay = std::nan(""); }, "trainer.weight_decay nan");
  refused([](Options& o) { o.gradient_clip = INFINITY; }, "trainer.gradient_clip inf");
  refused([](Options& o) { o.learning_rate.rate = 0; }, "learning_rate.rate 0");
}

}  // namespace
}  // namespace nagl
