#include "nagl/training/run_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "nagl/core/atomic_file.h"
#include "nagl/core/error.h"

namespace nagl {

RunFolder::RunFolder(std::filesystem::path path) : path_(std::move(path)) {
  make_folder(path_);
  lock_ = ::open((path_ / ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (lock_ < 0) {
    throw DataError("cannot write into '" + path_.string() + "': " + std::strerror(errno));
  }
  // The system lets go of the lock when the process ends, however it ends.
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    ::close(lock_);
    throw ConfigError("another process is training in '" + path_.string() +
                      "'; wait for it, or give another folder");
  }
}

RunFolder::~RunFolder() { ::close(lock_); }

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
