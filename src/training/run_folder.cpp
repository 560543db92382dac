#include "nagl/training/run_folder.h"

#include <fmt/format.h>

#include <utility>

#include "nagl/core/atomic_file.h"

namespace nagl {

RunFolder::RunFolder(std::filesystem::path path)
    : path_(std::move(path)), lock_(FileLock::on_folder(path_, "training")) {}

void write_metrics(const std::filesystem::path& path, const std::vector<EpochRecord>& history) {
  std::string text =
      "epoch,learning_rate,loss,classification,focal,dice,validation_image_auroc,"
      "validation_pixel_auroc,validation_pro,best,seconds,episodes_per_second\n";
  for (const auto& record : history) {
    text += fmt::format("{},{},{:.6f},{:.6f},{:.6f},{:.6f},", record.epoch, record.learning_rate,
                        record.loss, record.classification, record.focal, record.dice);
    text += record.validation
                ? fmt::format("{:.6f},{:.6f},{:.6f},{}", record.validation->image_auroc,
                              record.validation->pixel_auroc, record.validation->pro,
                              record.best ? 1 : 0)
                : ",,,";
    text += fmt::format(",{:.3f},{:.2f}\n", record.seconds, record.episodes_per_second);
  }
  write_file(path, text);
}

}  // namespace nagl
