#include "nagl/dataset/pictures.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "nagl/core/error.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

constexpr std::array kExtensions = {".png", ".jpg",  ".jpeg", ".jpe", ".bmp", ".dib",
                                    ".tif", ".tiff", ".webp", ".jp2", ".ppm", ".pgm",
                                    ".pbm", ".pnm",  ".sr",   ".ras"};
constexpr std::string_view kMaskSuffix = "_mask";

bool is_hidden(const fs::path& path) { return path.filename().string().starts_with('.'); }

/// The path without its extension and a trailing `_mask`.
fs::path key_of(const fs::path& relative) {
  std::string stem = relative.stem().string();
  if (stem.size() > kMaskSuffix.size() && stem.ends_with(kMaskSuffix)) {
    stem.resize(stem.size() - kMaskSuffix.size());
  }
  return relative.parent_path() / stem;
}

}  // namespace

fs::path PictureFile::relative() const {
  return folder.empty() ? path.filename() : path.lexically_relative(folder);
}

bool has_picture_extension(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return !is_hidden(path) &&
         std::find(kExtensions.begin(), kExtensions.end(), extension) != kExtensions.end();
}

std::vector<PictureFile> list_pictures(const fs::path& path) {
  std::error_code error;
  const auto status = fs::status(path, error);
  if (!fs::exists(status)) throw DataError("'" + path.string() + "' does not exist");
  if (!fs::is_directory(status)) return {{path, {}}};

  std::vector<PictureFile> files;
  auto entry = fs::recursive_directory_iterator(path, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    if (entry->is_directory()) {
      if (is_hidden(entry->path())) entry.disable_recursion_pending();
    } else if (has_picture_extension(entry->path())) {
      files.push_back({entry->path(), path});
    }
  }
  if (error) throw DataError("cannot list '" + path.string() + "': " + error.message());
  if (files.empty()) {
    throw DataError("the folder '" + path.string() +
                    "' holds no pictures (png, jpg, bmp, tiff, "
                    "webp, ...)");
  }
  std::sort(files.begin(), files.end(),
            [](const PictureFile& a, const PictureFile& b) { return a.path < b.path; });
  return files;
}

std::vector<PictureFile> list_pictures(const std::vector<fs::path>& paths) {
  std::vector<PictureFile> all;
  for (const auto& path : paths) {
    const auto files = list_pictures(path);
    all.insert(all.end(), files.begin(), files.end());
  }
  return all;
}

StemIndex::StemIndex(const fs::path& folder) : folder_(folder), files_(list_pictures(folder)) {}

std::optional<fs::path> StemIndex::find(const PictureFile& picture) const {
  const fs::path wanted = key_of(picture.relative());
  const auto only = [&](auto&& matches) -> std::optional<fs::path> {
    std::optional<fs::path> found;
    for (const auto& file : files_) {
      if (!matches(key_of(file.relative()))) continue;
      if (found) {
        throw DataError("'" + picture.path.string() + "' could belong to '" + found->string() +
                        "' or '" + file.path.string() + "'; keep one of them");
      }
      found = file.path;
    }
    return found;
  };
  if (auto found = only([&](const fs::path& key) { return key == wanted; })) return found;
  return only([&](const fs::path& key) { return key.filename() == wanted.filename(); });
}

}  // namespace nagl
