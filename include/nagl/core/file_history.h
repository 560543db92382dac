#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace nagl {

/// What a file was before a change.
struct Generation {
  std::int64_t number = 0;   ///< counted from 1, the oldest first
  std::string time;          ///< of the change that ended it, UTC, ISO 8601
  std::string change;        ///< what was done then, for people
  std::uintmax_t bytes = 0;  ///< that keeping it takes
};

/// Older generations of a file, beside it in `NAME.history/`. Each is kept as what it has and the
/// next one lacks, so that a picture that was added to a bank takes nothing. A change is written
/// before the file is replaced, and names both by SHA-256: a process that is killed at any moment
/// leaves the file as it was before or after, and a history that leads on from it. Whoever changes
/// the file at the same time must be kept away by a lock.
class FileHistory {
 public:
  /// @param file of a link, the file that it leads to
  explicit FileHistory(const std::filesystem::path& file);

  /// The generations that the file as it is leads back to, the newest first. None where it was
  /// replaced by somebody else since. @throws DataError if the file or its history cannot be read
  std::vector<Generation> list() const;

  /// Replaces the file, whether it is there or not; what it was becomes a generation. Does nothing
  /// if it has these very bytes.
  /// @param change what is done, for people
  /// @param keep generations at most; older ones are removed
  /// @throws DataError if that cannot be written; the file is then as it was
  void replace(std::string_view bytes, const std::string& change, std::size_t keep);

  /// Puts an earlier generation back in the place of the file, byte for byte: the newest, or so
  /// many steps before.
  /// @return those that were undone, the newest first
  /// @throws DataError if there are fewer, or one is damaged; the file is then as it was
  std::vector<Generation> undo(std::size_t steps = 1);

  const std::filesystem::path& folder() const { return folder_; }

 private:
  struct Entry;
  std::vector<Entry> chain(const std::string& checksum) const;
  std::filesystem::path place_of(std::int64_t number) const;
  std::string before(const Entry& entry, std::string_view newer) const;

  std::filesystem::path file_, folder_;
};

}  // namespace nagl
