#include "nagl/training/checkpoint.h"

#include <utility>

#include "nagl/core/error.h"

namespace nagl {
namespace {

constexpr const char* kKind = "nagl checkpoint";
constexpr const char* kLosses = "losses";

std::string model_name(const std::string& parameter) { return "model." + parameter; }
std::string mean_name(const std::string& parameter) {
  return "optimizer." + parameter + ".exp_avg";
}
std::string square_name(const std::string& parameter) {
  return "optimizer." + parameter + ".exp_avg_sq";
}

at::Tensor to_tensor(const std::vector<std::array<float, 3>>& losses) {
  at::Tensor tensor = at::empty({static_cast<std::int64_t>(losses.size()), 3}, at::kFloat);
  for (std::size_t i = 0; i < losses.size(); ++i) {
    std::copy(losses[i].begin(), losses[i].end(), tensor.data_ptr<float>() + 3 * i);
  }
  return tensor;
}

/// The parameter's optimiser state; null before the first step.
const torch::optim::AdamWParamState* state_for(torch::optim::AdamW& optimizer,
                                               const at::Tensor& parameter) {
  const auto found = optimizer.state().find(parameter.unsafeGetTensorImpl());
  if (found == optimizer.state().end()) return nullptr;
  return static_cast<const torch::optim::AdamWParamState*>(found->second.get());
}

}  // namespace

Json to_json(const EpochRecord& record) {
  Json json = {{"epoch", record.epoch},     {"learning_rate", record.learning_rate},
               {"loss", record.loss},       {"classification", record.classification},
               {"focal", record.focal},     {"dice", record.dice},
               {"seconds", record.seconds}, {"episodes_per_second", record.episodes_per_second}};
  if (record.validation) {
    json["validation"] = to_json(*record.validation);
    json["best"] = record.best;
  }
  return json;
}

EpochRecord epoch_record_from_json(const Json& json) {
  EpochRecord record;
  record.epoch = json.at("epoch");
  record.learning_rate = json.at("learning_rate");
  record.loss = json.at("loss");
  record.classification = json.at("classification");
  record.focal = json.at("focal");
  record.dice = json.at("dice");
  record.seconds = json.at("seconds");
  record.episodes_per_second = json.at("episodes_per_second");
  if (json.contains("validation")) {
    record.validation = validation_metrics_from_json(json.at("validation"));
    record.best = json.at("best");
  }
  return record;
}

const EpochRecord* TrainerState::best() const {
  for (auto record = history.rbegin(); record != history.rend(); ++record) {
    if (record->best) return &*record;
  }
  return nullptr;
}

void write_checkpoint(const std::filesystem::path& path, const NaglHead& head,
                      torch::optim::AdamW& optimizer, const TrainerState& state,
                      std::map<std::string, std::string> metadata) {
  std::map<std::string, at::Tensor> tensors;
  std::int64_t optimizer_steps = 0;
  for (const auto& item : head->named_parameters()) {
    tensors[model_name(item.key())] = item.value().detach();
    if (const auto* moments = state_for(optimizer, item.value())) {
      tensors[mean_name(item.key())] = moments->exp_avg();
      tensors[square_name(item.key())] = moments->exp_avg_sq();
      optimizer_steps = moments->step();
    }
  }
  if (!state.losses.empty()) tensors[kLosses] = to_tensor(state.losses);
  Json history = Json::array();
  for (const auto& record : state.history) history.push_back(to_json(record));
  metadata["kind"] = kKind;
  metadata["position"] = dump_json({{"epoch", state.epoch},
                                    {"step", state.step},
                                    {"optimizer_steps", optimizer_steps},
                                    {"threads", state.threads}});
  metadata["history"] = dump_json(history);
  write_weights(path, tensors, metadata);
}

TrainerState read_checkpoint(const WeightsFile& file, NaglHead& head,
                             torch::optim::AdamW& optimizer) {
  const auto fail = [&](const std::string& why) {
    throw ModelError("checkpoint '" + file.path().string() + "' " + why);
  };
  const auto text_of = [&](const std::string& key) {
    const auto found = file.metadata().find(key);
    if (found == file.metadata().end()) fail("has no '" + key + "'; it is no checkpoint");
    return found->second;
  };
  if (text_of("kind") != kKind) fail("is of another kind: " + text_of("kind"));
  TrainerState state;
  std::int64_t optimizer_steps = 0;
  try {
    const Json position = parse_json(text_of("position"));
    state.epoch = position.at("epoch");
    state.step = position.at("step");
    state.threads = position.at("threads");
    optimizer_steps = position.at("optimizer_steps");
    for (const auto& record : parse_json(text_of("history"))) {
      state.history.push_back(epoch_record_from_json(record));
    }
  } catch (const Json::exception& error) {
    fail(std::string("is damaged: ") + error.what());
  }
  const at::NoGradGuard no_grad;
  const auto read = [&](const std::string& name, const at::Tensor& like) {
    const at::Tensor stored = file.read(name);
    if (stored.sizes() != like.sizes() || stored.scalar_type() != like.scalar_type()) {
      fail("does not fit the head: tensor '" + name + "' has another shape or type");
    }
    return stored.to(like.device());
  };
  for (auto& item : head->named_parameters()) {
    item.value().copy_(read(model_name(item.key()), item.value()));
    if (optimizer_steps == 0) continue;
    auto moments = std::make_unique<torch::optim::AdamWParamState>();
    moments->step(optimizer_steps);
    moments->exp_avg(read(mean_name(item.key()), item.value()));
    moments->exp_avg_sq(read(square_name(item.key()), item.value()));
    optimizer.state()[item.value().unsafeGetTensorImpl()] = std::move(moments);
  }
  if (file.entries().contains(kLosses)) {
    const at::Tensor losses = file.read(kLosses);
    if (losses.dim() != 2 || losses.size(1) != 3 || losses.scalar_type() != at::kFloat) {
      fail("is damaged: its losses have another shape");
    }
    for (std::int64_t i = 0; i < losses.size(0); ++i) {
      const float* row = losses.const_data_ptr<float>() + 3 * i;
      state.losses.push_back({row[0], row[1], row[2]});
    }
  }
  return state;
}

}  // namespace nagl
