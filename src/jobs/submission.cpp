#include "submission.h"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>

#include "nagl/core/atomic_file.h"
#include "nagl/core/error.h"
#include "nagl/image/image.h"

extern char** environ;

namespace nagl::jobs {
namespace {

namespace fs = std::filesystem;

constexpr const char *kMaps = "anomaly_images", *kMarked = "anomaly_images_thresholded";

}  // namespace

fs::path Submission::place(const char* kind, const std::string& category, const std::string& split,
                           const fs::path& picture, const char* extension) const {
  return folder_ / kind / category / split / picture.stem().concat(extension);
}

fs::path Submission::note(const Category& category) const {
  return folder_ / ".nagl" / (category.name + ".txt");
}

void Submission::finish(const Category& category, const std::string& evaluation) const {
  write_file(note(category), evaluation);
}

bool Submission::holds(const Category& category, const std::string& evaluation) const {
  std::error_code error;
  if (category.unlabelled.empty()) return true;
  if (!fs::exists(note(category), error)) return false;
  constexpr std::size_t kMost = 4096;
  if (read_file(note(category), kMost) != evaluation) return false;
  for (const auto& [split, pictures] : category.unlabelled) {
    const bool whole = std::all_of(pictures.begin(), pictures.end(), [&](const fs::path& picture) {
      return fs::exists(place(kMaps, category.name, split, picture, ".tiff"), error) &&
             fs::exists(place(kMarked, category.name, split, picture, ".png"), error);
    });
    if (!whole) return false;
  }
  return true;
}

void Submission::write(const std::string& category, const std::string& split,
                       const fs::path& picture, const cv::Mat& map, double pixel_cut) const {
  const fs::path scores = place(kMaps, category, split, picture, ".tiff");
  const fs::path marked = place(kMarked, category, split, picture, ".png");
  for (const auto& file : {scores, marked}) {
    std::error_code error;
    fs::create_directories(file.parent_path(), error);
    if (error) {
      throw DataError(fmt::format("cannot make the folder '{}': {}", file.parent_path().string(),
                                  error.message()));
    }
  }
  write_float16_tiff(scores, map);
  write_png(marked, map > pixel_cut);
}

fs::path Submission::archive() const {
  const fs::path folder = fs::absolute(folder_).lexically_normal();
  fs::path archive = folder.has_filename() ? folder : folder.parent_path();
  archive += ".tar.gz";
  return archive;
}

void Submission::pack(const Dataset& dataset, const std::string& evaluation) const {
  const fs::path folder = fs::absolute(folder_).lexically_normal();
  std::vector<std::string> names = {"tar", "-czf", archive().string(), "-C", folder.string()};
  for (const auto& category : dataset.categories) {
    if (category.unlabelled.empty()) continue;
    if (!holds(category, evaluation)) {
      throw Error(fmt::format("'{}' lacks maps of category '{}'; evaluate it again with --resume",
                              folder.string(), category.name));
    }
    for (const char* kind : {kMaps, kMarked}) {
      names.push_back((fs::path(kind) / category.name).string());
    }
  }
  std::vector<char*> arguments;
  for (const auto& name : names) arguments.push_back(const_cast<char*>(name.c_str()));
  arguments.push_back(nullptr);
  pid_t child = 0;
  int status = 0;
  const bool ran =
      ::posix_spawnp(&child, "tar", nullptr, nullptr, arguments.data(), environ) == 0 &&
      ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (!ran) {
    throw Error(fmt::format("tar could not pack '{}'; the files are there, pack them by hand",
                            folder.string()));
  }
}

}  // namespace nagl::jobs
