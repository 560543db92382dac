#include "spool.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "nagl/core/atomic_file.h"
#include "nagl/core/error.h"
#include "nagl/core/json.h"
#include "nagl/core/text.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kExtension = ".json";
constexpr std::size_t kDigits = 19, kLargest = std::size_t{1} << 30;

/// The number that a file of the spool is called by; nothing for another file.
std::optional<std::int64_t> number_of(const std::string& name) {
  if (name.size() != kDigits + kExtension.size() || !name.ends_with(kExtension)) return {};
  const auto number = whole_number(std::string_view(name).substr(0, kDigits));
  return number && *number >= 0 ? number : std::nullopt;
}

}  // namespace

Spool::Spool(fs::path folder, std::int64_t most)
    : folder_(std::move(folder)),
      lock_(FileLock::on_folder(folder_, "sending results")),
      most_(most) {
  std::error_code error;
  for (const auto& file : fs::directory_iterator(folder_, error)) {
    const std::string name = file.path().filename().string();
    const auto number = number_of(name);
    std::error_code gone;
    const auto bytes = file.file_size(gone);
    if (!number || gone) continue;
    entries_.push_back({name, static_cast<std::int64_t>(bytes)});
    bytes_ += entries_.back().bytes;
    last_ = std::max(last_, *number);
  }
  if (error)
    throw DataError(fmt::format("cannot list '{}': {}", folder_.string(), error.message()));
  std::sort(entries_.begin(), entries_.end(),
            [](const Entry& a, const Entry& b) { return a.name < b.name; });
}

void Spool::add(std::string_view text) {
  const auto now = std::chrono::duration_cast<std::chrono::microseconds>(
                       std::chrono::system_clock::now().time_since_epoch())
                       .count();
  last_ = std::max(last_ + 1, static_cast<std::int64_t>(now));  // also when clocks are set back
  Entry entry{fmt::format("{:0{}}{}", last_, kDigits, kExtension),
              static_cast<std::int64_t>(text.size())};
  AtomicFile file(folder_ / entry.name);
  file.write(text);
  file.commit(false);  // a power failure may damage it, which `read` sees
  bytes_ += entry.bytes;
  entries_.push_back(std::move(entry));
}

std::optional<std::string> Spool::read(const Entry& entry) const {
  try {
    std::string text = read_file(folder_ / entry.name, kLargest);
    if (try_parse_json(text)) return text;
  } catch (const DataError&) {
  }
  return std::nullopt;
}

void Spool::remove(const std::string& name) {
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& entry) { return entry.name == name; });
  if (found == entries_.end()) return;
  std::error_code gone;
  fs::remove(folder_ / name, gone);
  bytes_ -= found->bytes;
  entries_.erase(found);
}

std::size_t Spool::give_up(const std::string& kept) {
  std::size_t count = 0;
  while (bytes_ > most_) {
    const auto first = std::find_if(entries_.begin(), entries_.end(),
                                    [&](const Entry& entry) { return entry.name != kept; });
    if (first == entries_.end()) break;
    remove(std::string(first->name));
    ++count;
  }
  return count;
}

}  // namespace nagl
