#include "nagl/dataset/pictures.h"

#include <algorithm>
#include <array>
#include <mutex>
#include <set>

#include "nagl/core/error.h"
#include "nagl/core/file_part.h"
#include "nagl/core/text.h"
#include "nagl/image/annotation.h"
#include "nagl/image/volume.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

constexpr std::array kExtensions = {".png", ".jpg",  ".jpeg", ".jpe", ".jfif", ".bmp", ".dib",
                                    ".tif", ".tiff", ".webp", ".jp2", ".ppm",  ".pgm", ".pbm",
                                    ".pnm", ".pam",  ".pxm",  ".sr",  ".ras",  ".dcm", ".dicom"};
constexpr std::array<std::string_view, 7> kMaskEndings = {
    "_mask", "_masks", "_gt", "_label", "_labels", "-mask", "_ground_truth"};
constexpr std::array kMaskFolders = {"masks", "mask", "ground_truth", "groundtruth", "gt"};
constexpr std::array<std::string_view, 5> kMaskFolderEndings = {"_mask", "_masks", "_label",
                                                                "_labels", "_gt"};

/// Pictures of formats that are not read.
constexpr std::array kOtherFormats = {".gif", ".heic", ".heif", ".avif", ".jxl", ".tga",
                                      ".psd", ".exr",  ".dng",  ".cr2",  ".nef", ".arw",
                                      ".raw", ".ico",  ".svg",  ".pdf",  ".npy"};

bool is_picture_file(const fs::path& path) {
  return has_picture_extension(path) || is_volume(path);
}

bool is_hidden(const fs::path& path) { return path.filename().string().starts_with('.'); }

/// What a picture or mask is called beside its ending: of `x.nii.gz#axial:7` and `x.png` it is `x`.
std::string stem_of_file(const fs::path& path) {
  fs::path name = file_of(path).filename();
  if (lower_case(name.extension().string()) == ".gz") name.replace_extension();
  return name.stem().string();
}

/// A stem without the ending that makes it a mask's; itself if it has none.
std::string without_ending(const std::string& stem) {
  const std::string lower = lower_case(stem);
  for (const std::string_view ending : kMaskEndings) {
    if (lower.size() > ending.size() && lower.ends_with(ending)) {
      return stem.substr(0, stem.size() - ending.size());
    }
  }
  return stem;
}

/// Calls `use` with each folder from that of the file up to the one that is listed, and with the
/// path of `stem` in place of the file without that folder.
template <typename Use>
void for_each_folder(const PictureFile& file, const std::string& stem, Use&& use) {
  fs::path rest = stem;
  for (fs::path folder = file.path.parent_path(); folder != file.folder && folder.has_filename();
       folder = folder.parent_path()) {
    use(folder, folder.parent_path() / rest);
    rest = folder.filename() / rest;
  }
}

/// Splits files into pictures and the masks among them.
void separate_masks(std::vector<PictureFile>& files, std::vector<PictureFile>* masks) {
  std::map<fs::path, bool> known;  // folders: whether they are of masks
  const auto of_masks = [&](const fs::path& folder) {
    const auto [entry, fresh] = known.try_emplace(folder, false);
    if (fresh) entry->second = is_mask_folder(folder);
    return entry->second;
  };
  std::set<fs::path> stems, elsewhere;  // without extensions; and without one of their folders
  for (const auto& file : files) {
    const std::string stem = stem_of_file(file.path);
    bool masked = false;
    for_each_folder(file, stem,
                    [&](const fs::path& folder, const fs::path&) { masked |= of_masks(folder); });
    if (masked) continue;
    stems.insert(file.path.parent_path() / stem);
    for_each_folder(file, stem,
                    [&](const fs::path&, const fs::path& without) { elsewhere.insert(without); });
  }
  const auto is_mask = [&](const PictureFile& file) {
    const std::string stem = stem_of_file(file.path), base = without_ending(stem);
    if (base != stem && stems.contains(file.path.parent_path() / base)) return true;
    bool found = false;
    for (const auto& name : {stem, base}) {
      for_each_folder(file, name, [&](const fs::path& folder, const fs::path& without) {
        found |= of_masks(folder) && (stems.contains(without) || elsewhere.contains(without));
      });
    }
    return found;
  };
  const auto first = std::stable_partition(files.begin(), files.end(),
                                           [&](const PictureFile& file) { return !is_mask(file); });
  if (masks != nullptr) masks->insert(masks->end(), first, files.end());
  files.erase(first, files.end());
}

/// The slices of a volume in a folder: none of one that is empty (a mask of nothing). One that
/// cannot be read is listed as it is, and fails where it is read.
std::vector<fs::path> slices_of(const fs::path& volume) {
  try {
    if (read_volume(volume)->empty()) return {};
    return pictures_in(volume);
  } catch (const DataError&) {
    return {volume};
  }
}

/// What a folder without pictures may hold instead, for its message.
std::string what_else(const fs::path& folder, bool with_annotations) {
  std::error_code error;
  for (const auto& entry : fs::recursive_directory_iterator(folder, error)) {
    const std::string extension = lower_case(entry.path().extension().string());
    if (with_annotations && extension == ".xml") {
      return "; its .xml files (CVAT, Pascal VOC) cannot be read: export as COCO, or as mask "
             "pictures";
    }
    if (with_annotations && extension == ".txt") {
      return "; its .txt files (YOLO?) cannot be read: export as COCO, or as mask pictures";
    }
    for (const char* other : kOtherFormats) {
      if (extension == other)
        return "; " + extension + " files cannot be read: convert them to PNG";
    }
  }
  return "";
}

/// What `list_pictures` lists, and where asked for the annotation files too.
std::vector<PictureFile> list_files(const fs::path& path, bool with_annotations) {
  std::error_code error;
  const FilePart named = file_part_of(path);
  const auto status = fs::status(named.file, error);
  if (!fs::exists(status)) {
    const bool absent = status.type() == fs::file_type::not_found;
    throw DataError("'" + path.string() + "' " +
                    (absent ? "does not exist" : "cannot be opened: " + error.message()));
  }
  if (!fs::is_directory(status)) {
    std::vector<PictureFile> files;
    for (auto& picture : pictures_in(path)) files.push_back({std::move(picture), {}});
    return files;
  }

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
    } else if (is_volume(entry->path())) {
      for (auto& slice : slices_of(entry->path())) files.push_back({std::move(slice), path});
    } else if (has_picture_extension(entry->path()) ||
               (with_annotations && is_annotation(entry->path()))) {
      files.push_back({entry->path(), path});
      if (unreadable) entry.disable_recursion_pending();
    }
  }
  if (error) throw DataError("cannot list '" + path.string() + "': " + error.message());
  if (files.empty()) {
    throw DataError(
        "the folder '" + path.string() + "' holds no pictures (png, jpg, bmp, tiff, webp, ...)" +
        (with_annotations ? " and no annotations (json)" : "") + what_else(path, with_annotations));
  }
  // Slices of a volume stay in their order.
  std::stable_sort(files.begin(), files.end(), [](const PictureFile& a, const PictureFile& b) {
    return file_of(a.path) < file_of(b.path);
  });
  return files;
}

}  // namespace

fs::path PictureFile::relative() const {
  return folder.empty() ? path.filename() : path.lexically_relative(folder);
}

fs::path listed_path(const fs::path& folder, const std::string& text) {
  fs::path path = folder / text;
  std::error_code error;
  if (text.find('\\') == std::string::npos || fs::exists(path, error)) return path;
  std::string slashes = text;
  std::replace(slashes.begin(), slashes.end(), '\\', '/');
  return folder / slashes;
}

bool has_picture_extension(const fs::path& path) {
  const std::string extension = lower_case(path.extension().string());
  return !is_hidden(path) &&
         std::find(kExtensions.begin(), kExtensions.end(), extension) != kExtensions.end();
}

std::vector<PictureFile> list_pictures(const fs::path& path, std::vector<PictureFile>* masks) {
  auto files = list_files(path, false);
  separate_masks(files, masks);
  return files;
}

bool is_mask_beside_picture(const fs::path& path) {
  const std::string stem = path.stem().string(), base = without_ending(stem);
  if (base == stem) return false;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(path.parent_path(), error)) {
    if (entry.path().stem() == base && has_picture_extension(entry.path())) return true;
  }
  return false;
}

bool is_mask_folder(const fs::path& folder) {
  const std::string name = folder.filename().string(), lower = lower_case(name);
  for (const char* other : kMaskFolders) {
    if (lower == other) return true;
  }
  std::error_code error;
  for (const std::string_view ending : kMaskFolderEndings) {
    if (lower.size() > ending.size() && lower.ends_with(ending) &&
        fs::is_directory(folder.parent_path() / name.substr(0, name.size() - ending.size()),
                         error)) {
      return true;
    }
  }
  return false;
}

bool holds_pictures(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return false;
  for (fs::recursive_directory_iterator entry(path, fs::directory_options::follow_directory_symlink,
                                              error);
       !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    if (is_picture_file(entry->path())) return true;
  }
  return false;
}

std::vector<PictureFile> list_pictures(const std::vector<fs::path>& paths,
                                       std::vector<PictureFile>* masks) {
  std::vector<PictureFile> all;
  for (const auto& path : paths) {
    const auto files = list_pictures(path, masks);
    all.insert(all.end(), files.begin(), files.end());
  }
  return all;
}

std::vector<PictureFile> choose_references(const std::vector<fs::path>& paths, std::size_t shots,
                                           std::vector<PictureFile>* masks) {
  std::vector<PictureFile> chosen;
  std::set<fs::path> taken;
  for (const auto& file : list_pictures(paths, masks)) {
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
                      "' (looked for its name, with or without _mask, _GT, _label)");
    }
    pairs.push_back({picture.path, {*mask}});
  }
  return pairs;
}

struct StemIndex::Claims {
  std::mutex mutex;
  std::map<fs::path, fs::path> picture;  ///< by mask
};

StemIndex::StemIndex(const fs::path& folder, bool with_annotations, bool exclusive)
    : claims_(exclusive ? std::make_shared<Claims>() : nullptr) {
  for (const auto& file : list_files(folder, with_annotations)) {
    const std::string stem = stem_of_file(file.path), base = without_ending(stem);
    const Mask mask{file.path, file.relative().parent_path(), stem, file_part_of(file.path).part};
    masks_.emplace(stem, mask);
    if (base != stem) masks_.emplace(base, mask);
  }
}

std::optional<fs::path> StemIndex::candidate(const PictureFile& picture) const {
  const fs::path own_folder = picture.path.parent_path();
  const fs::path place = picture.relative().parent_path();
  std::vector<const Mask*> here, namesakes, elsewhere;
  std::error_code error;
  // The same slice or page of a mask of the same name; of one without parts, that mask.
  const std::string part = file_part_of(picture.path).part;
  const auto [first, last] = masks_.equal_range(stem_of_file(picture.path));
  for (auto entry = first; entry != last; ++entry) {
    const Mask& mask = entry->second;
    // Annotations and masks may stand beside the pictures.
    if (mask.part != part && !mask.part.empty()) continue;
    if (mask.place == place && mask.path != picture.path &&
        !fs::equivalent(file_of(mask.path), file_of(picture.path), error)) {
      here.push_back(&mask);
    }
  }
  for (auto entry = first; here.empty() && entry != last; ++entry) {
    const Mask& mask = entry->second;
    if (mask.part != part && !mask.part.empty()) continue;
    if (mask.place == place || fs::equivalent(file_of(mask.path), file_of(picture.path), error)) {
      continue;
    }
    if (mask.place.filename() == own_folder.filename()) {
      namesakes.push_back(&mask);
    } else if (mask.place.empty() ||
               (!fs::is_directory(picture.folder / mask.place, error) &&
                !fs::is_directory(own_folder.parent_path() / mask.place.filename(), error))) {
      elsewhere.push_back(&mask);
    }
  }
  for (const auto& found : {here, namesakes, elsewhere}) {
    if (found.empty()) continue;
    if (found.size() > 1) {
      throw DataError("'" + picture.path.string() + "' could belong to '" +
                      found[0]->path.string() + "' or '" + found[1]->path.string() +
                      "'; keep one of them");
    }
    return found.front()->path;
  }
  return std::nullopt;
}

std::optional<fs::path> StemIndex::find(const PictureFile& picture) const {
  auto mask = candidate(picture);
  // Of several pages the one that the picture is.
  if (const std::string part = file_part_of(picture.path).part; mask && !part.empty()) {
    const bool pages = file_part_of(*mask).part.empty() && part.find(':') == std::string::npos;
    const std::string page = mask->string() + "#" + part;
    if (pages && pictures_in(mask->string() + "#all").size() > 1) mask = page;
  }
  if (!mask || !claims_) return mask;
  const fs::path asking = picture.path.lexically_normal();
  const std::lock_guard lock(claims_->mutex);
  const fs::path& owner = claims_->picture.emplace(*mask, asking).first->second;
  if (owner != asking) {
    throw DataError("the mask '" + mask->string() + "' could belong to '" + owner.string() +
                    "' or '" + asking.string() +
                    "'; give each picture one of its own, at the same place below its folder");
  }
  return mask;
}

}  // namespace nagl
