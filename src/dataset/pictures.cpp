#include "nagl/dataset/pictures.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>

#include "nagl/core/error.h"
#include "nagl/image/annotation.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

constexpr std::array kExtensions = {".png", ".jpg",  ".jpeg", ".jpe", ".jfif", ".bmp", ".dib",
                                    ".tif", ".tiff", ".webp", ".jp2", ".ppm",  ".pgm", ".pbm",
                                    ".pnm", ".pam",  ".pxm",  ".sr",  ".ras"};
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

/// What `list_pictures` lists, and where asked for the annotation files too.
std::vector<PictureFile> list_files(const fs::path& path, bool with_annotations) {
  std::error_code error;
  const auto status = fs::status(path, error);
  if (!fs::exists(status)) {
    const bool absent = status.type() == fs::file_type::not_found;
    throw DataError("'" + path.string() + "' " +
                    (absent ? "does not exist" : "cannot be opened: " + error.message()));
  }
  if (!fs::is_directory(status)) return {{path, {}}};

  std::vector<PictureFile> files;
  std::set<fs::path> visited = {fs::canonical(path, error)};  // symbolic links may form circles
  auto entry = fs::recursive_directory_iterator(
      path, fs::directory_options::follow_directory_symlink, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    std::error_code
        unreadable;  // a picture that cannot be looked at is listed, and fails when read
    if (entry->is_directory(unreadable)) {
      const bool seen = !visited.insert(fs::canonical(entry->path(), unreadable)).second;
      if (seen || is_hidden(entry->path())) entry.disable_recursion_pending();
    } else if (has_picture_extension(entry->path()) ||
               (with_annotations && is_annotation(entry->path()))) {
      files.push_back({entry->path(), path});
      if (unreadable) entry.disable_recursion_pending();
    }
  }
  if (error) throw DataError("cannot list '" + path.string() + "': " + error.message());
  if (files.empty()) {
    throw DataError("the folder '" + path.string() +
                    "' holds no pictures (png, jpg, bmp, tiff, webp, ...)" +
                    (with_annotations ? " and no annotations (json)" : ""));
  }
  std::sort(files.begin(), files.end(),
            [](const PictureFile& a, const PictureFile& b) { return a.path < b.path; });
  return files;
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

std::vector<PictureFile> list_pictures(const fs::path& path) { return list_files(path, false); }

bool holds_pictures(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return false;
  for (fs::recursive_directory_iterator entry(path, fs::directory_options::follow_directory_symlink,
                                              error);
       !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    if (has_picture_extension(entry->path())) return true;
  }
  return false;
}

std::vector<PictureFile> list_pictures(const std::vector<fs::path>& paths) {
  std::vector<PictureFile> all;
  for (const auto& path : paths) {
    const auto files = list_pictures(path);
    all.insert(all.end(), files.begin(), files.end());
  }
  return all;
}

std::vector<PictureFile> choose_references(const std::vector<fs::path>& paths, std::size_t shots) {
  std::vector<PictureFile> chosen;
  std::set<fs::path> taken;
  for (const auto& file : list_pictures(paths)) {
    std::error_code error;
    if (taken.insert(fs::weakly_canonical(file.path, error)).second) chosen.push_back(file);
  }
  if (shots == 0) return chosen;
  if (shots > chosen.size()) {
    throw DataError(std::to_string(shots) + " references asked for, but '" +
                    paths.front().string() + "' holds " + std::to_string(chosen.size()));
  }
  chosen.resize(shots);
  return chosen;
}

std::vector<MaskedPicture> pair_with_masks(const std::vector<PictureFile>& pictures,
                                           const fs::path& masks) {
  std::vector<MaskedPicture> pairs;
  std::error_code unknown;
  if (is_annotation(masks) && !fs::is_directory(masks, unknown)) {
    for (const auto& picture : pictures) pairs.push_back({picture.path, {masks}});
    return pairs;
  }
  const StemIndex index(masks, /*with_annotations=*/true);
  for (const auto& picture : pictures) {
    const auto mask = index.find(picture);
    if (!mask) {
      throw DataError("'" + picture.path.string() + "' has no mask in '" + masks.string() +
                      "' (looked for its stem, with or without _mask)");
    }
    pairs.push_back({picture.path, {*mask}});
  }
  return pairs;
}

StemIndex::StemIndex(const fs::path& folder, bool with_annotations) : folder_(folder) {
  for (const auto& file : list_files(folder, with_annotations)) {
    const fs::path key = key_of(file.relative());
    by_place_.emplace(key, file.path);
    by_name_.emplace(key.filename(), file.path);
  }
}

std::optional<fs::path> StemIndex::find(const PictureFile& picture) const {
  const auto only = [&](const auto& index, const fs::path& key) -> std::optional<fs::path> {
    std::optional<fs::path> found;
    const auto [first, last] = index.equal_range(key);
    for (auto entry = first; entry != last; ++entry) {
      std::error_code error;  // annotations may stand beside the pictures
      if (fs::equivalent(entry->second, picture.path, error)) continue;
      if (found) {
        throw DataError("'" + picture.path.string() + "' could belong to '" + found->string() +
                        "' or '" + entry->second.string() + "'; keep one of them");
      }
      found = entry->second;
    }
    return found;
  };
  const fs::path wanted = key_of(picture.relative());
  if (auto found = only(by_place_, wanted)) return found;
  return only(by_name_, wanted.filename());
}

}  // namespace nagl
