#include "nagl/core/file_history.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <fstream>
#include <limits>
#include <set>
#include <unordered_map>

#include "nagl/core/atomic_file.h"
#include "nagl/core/duration.h"
#include "nagl/core/error.h"
#include "nagl/core/json.h"
#include "nagl/core/sha256.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

constexpr const char* kKind = "nagl generation";
constexpr const char* kExtension = ".generation";
constexpr std::size_t kLargestFile = std::numeric_limits<std::size_t>::max();

std::string checksum_of(std::string_view bytes) { return Sha256().update(bytes).hex(); }

/// Cuts bytes where their content says so (content-defined chunking with a gear hash; Xia et al.,
/// 2014), so that what is equal in two files is cut alike wherever it lies.
std::vector<std::string_view> cut(std::string_view bytes) {
  constexpr std::size_t kLeast = 2048, kMost = 65536;
  constexpr std::uint64_t kMask = ((std::uint64_t{1} << 13) - 1) << 51;  // 8 KiB on average
  static const std::array<std::uint64_t, 256> kGear = [] {
    std::array<std::uint64_t, 256> gear{};
    std::uint64_t state = 1;  // splitmix64
    for (auto& value : gear) {
      std::uint64_t mixed = state += 0x9E3779B97F4A7C15;
      mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9;
      mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB;
      value = mixed ^ (mixed >> 31);
    }
    return gear;
  }();
  std::vector<std::string_view> chunks;
  std::size_t begin = 0;
  std::uint64_t hash = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    hash = (hash << 1) + kGear[static_cast<unsigned char>(bytes[i])];
    const std::size_t size = i + 1 - begin;
    if ((size < kLeast || (hash & kMask) != 0) && size < kMost) continue;
    chunks.push_back(bytes.substr(begin, size));
    begin = i + 1;
    hash = 0;
  }
  if (begin < bytes.size()) chunks.push_back(bytes.substr(begin));
  return chunks;
}

/// A part of an older file: of the newer one from `begin`, or, if that is negative, of its own.
struct Piece {
  std::int64_t begin = -1;
  std::int64_t size = 0;
};

/// How to make `older` from `newer`. @param own gets the bytes that the newer one lacks
std::vector<Piece> difference(std::string_view older, std::string_view newer, std::string& own) {
  std::unordered_map<std::string_view, std::int64_t> places;
  for (const auto chunk : cut(newer)) places.emplace(chunk, chunk.data() - newer.data());
  std::vector<Piece> pieces;
  for (const auto chunk : cut(older)) {
    const auto found = places.find(chunk);
    const std::int64_t begin = found == places.end() ? -1 : found->second;
    const auto size = static_cast<std::int64_t>(chunk.size());
    if (begin < 0) own += chunk;
    const bool goes_on =
        !pieces.empty() &&
        (begin < 0 ? pieces.back().begin < 0
                   : pieces.back().begin >= 0 && pieces.back().begin + pieces.back().size == begin);
    if (goes_on) {
      pieces.back().size += size;
    } else {
      pieces.push_back({begin, size});
    }
  }
  return pieces;
}

}  // namespace

/// A generation and the files that it lies between.
struct FileHistory::Entry {
  Generation generation;
  std::string before, after;  ///< SHA-256
  Json pieces;
  std::uint64_t begin = 0;  ///< of the bytes of its own, in its file
};

FileHistory::FileHistory(const fs::path& file) : file_(file) {
  std::error_code error;
  if (fs::is_symlink(fs::symlink_status(file, error))) {
    const fs::path target = fs::canonical(file, error);
    if (!error) file_ = target;
  }
  folder_ = file_;
  folder_ += ".history";
}

fs::path FileHistory::place_of(std::int64_t number) const {
  return folder_ / fmt::format("{:06}{}", number, kExtension);
}

std::vector<FileHistory::Entry> FileHistory::chain(const std::string& checksum) const {
  std::vector<Entry> all;
  std::error_code error;
  for (auto item = fs::directory_iterator(folder_, error);
       !error && item != fs::directory_iterator(); item.increment(error)) {
    if (item->path().extension() != kExtension) continue;
    std::ifstream file(item->path(), std::ios::binary);
    std::string line;
    std::getline(file, line);
    const auto header = try_parse_json(line);
    if (!header || !header->is_object() || header->value("kind", Json()) != kKind)
      continue;  // none of ours, or damaged
    try {
      Entry entry;
      entry.generation.number = header->at("number");
      entry.generation.time = header->at("time");
      entry.generation.change = header->at("change");
      entry.generation.bytes = item->file_size();
      entry.before = header->at("before");
      entry.after = header->at("after");
      entry.pieces = header->at("pieces");
      entry.begin = line.size() + 1;
      all.push_back(std::move(entry));
    } catch (const Json::exception&) {
      continue;
    }
  }
  std::sort(all.begin(), all.end(), [](const Entry& a, const Entry& b) {
    return a.generation.number > b.generation.number;
  });
  std::vector<Entry> reached;
  std::string wanted = checksum;
  for (auto& entry : all) {
    if (entry.after != wanted) continue;
    wanted = entry.before;
    reached.push_back(std::move(entry));
  }
  return reached;
}

std::vector<Generation> FileHistory::list() const {
  std::vector<Generation> generations;
  std::error_code error;
  if (!fs::exists(folder_, error)) return generations;
  for (auto& entry : chain(sha256_of_file(file_))) {
    generations.push_back(std::move(entry.generation));
  }
  return generations;
}

void FileHistory::replace(std::string_view bytes, const std::string& change, std::size_t keep) {
  std::error_code error;
  std::set<fs::path> kept;
  if (fs::exists(file_, error)) {
    const std::string older = read_file(file_, kLargestFile);
    if (older == bytes) return;
    const std::string before = checksum_of(older);
    const auto reached = chain(before);
    const std::int64_t number = reached.empty() ? 1 : reached.front().generation.number + 1;
    if (keep > 0) {
      std::string own;
      Json pieces = Json::array();
      for (const auto& piece : difference(older, bytes, own)) {
        pieces.push_back({piece.begin, piece.size});
      }
      const Json header = {{"kind", kKind},
                           {"number", number},
                           {"time", utc_time(std::time(nullptr))},
                           {"change", change},
                           {"before", before},
                           {"after", checksum_of(bytes)},
                           {"pieces", std::move(pieces)}};
      AtomicFile file(place_of(number));
      file.write(dump_json(header) + "\n");
      file.write(own);
      file.commit();
      kept.insert(place_of(number));
    }
    for (const auto& entry : reached) {
      if (kept.size() < keep) kept.insert(place_of(entry.generation.number));
    }
  }
  write_file(file_, bytes);
  // What is too old, what a killed process left, and what belonged to another file.
  std::vector<fs::path> stale;
  for (auto item = fs::directory_iterator(folder_, error);
       !error && item != fs::directory_iterator(); item.increment(error)) {
    if (item->path().extension() == kExtension && !kept.contains(item->path())) {
      stale.push_back(item->path());
    }
  }
  for (const auto& path : stale) fs::remove(path, error);
  if (kept.empty()) fs::remove(folder_, error);
}

/// The file before `entry` ended it. @param newer the one after
std::string FileHistory::before(const Entry& entry, std::string_view newer) const {
  const fs::path place = place_of(entry.generation.number);
  const std::string stored = read_file(place, kLargestFile);
  std::string older;
  bool whole = entry.begin <= stored.size();
  try {
    std::string_view own = std::string_view(stored).substr(whole ? entry.begin : 0);
    for (const auto& piece : entry.pieces) {
      const auto begin = piece.at(0).get<std::int64_t>();
      const auto size = piece.at(1).get<std::size_t>();
      const std::string_view source = begin < 0 ? own : newer;
      const std::size_t from = begin < 0 ? 0 : static_cast<std::size_t>(begin);
      whole = whole && from <= source.size() && size <= source.size() - from;
      if (!whole) break;
      older += source.substr(from, size);
      if (begin < 0) own.remove_prefix(size);
    }
  } catch (const Json::exception&) {
    whole = false;
  }
  if (whole && checksum_of(older) == entry.before) return older;
  throw DataError(fmt::format("the earlier generation '{}' is damaged; '{}' is as it was",
                              place.string(), file_.string()));
}

std::vector<Generation> FileHistory::undo(std::size_t steps) {
  std::string bytes = read_file(file_, kLargestFile);
  const auto reached = chain(checksum_of(bytes));
  if (reached.size() < steps) {
    throw DataError(reached.empty() ? fmt::format("'{}' has no earlier generation to go back to",
                                                  file_.string())
                                    : fmt::format("'{}' has {} earlier generations, fewer than {}",
                                                  file_.string(), reached.size(), steps));
  }
  std::vector<Generation> undone;
  for (std::size_t i = 0; i < steps; ++i) {
    bytes = before(reached[i], bytes);
    undone.push_back(reached[i].generation);
  }
  write_file(file_, bytes);
  std::error_code error;
  for (const auto& generation : undone) fs::remove(place_of(generation.number), error);
  if (reached.size() == steps) fs::remove(folder_, error);
  return undone;
}

}  // namespace nagl
