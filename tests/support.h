#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

namespace nagl::testing {

/// A folder of the test's own, removed with everything in it at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "nagl-test-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::filesystem::path& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

inline std::string slurp(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void spill(const std::filesystem::path& path, const std::string& bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

inline std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

/// The reference data: $NAGL_TEST_DATA, else a folder `shared` beside the repository.
inline std::optional<std::filesystem::path> test_data() {
  const std::string named = environment("NAGL_TEST_DATA");
  const std::filesystem::path folder =
      named.empty() ? std::filesystem::path(NAGL_SOURCE_DIR) / ".." / "shared"
                    : std::filesystem::path(named);
  if (!std::filesystem::is_directory(folder / "golden")) return std::nullopt;
  return folder;
}

/// $NAGL_BACKBONE, else the backbone file that scripts/setup.sh fetched.
inline std::optional<std::filesystem::path> backbone_file() {
  const std::string named = environment("NAGL_BACKBONE");
  const std::filesystem::path file =
      named.empty() ? std::filesystem::path(NAGL_SOURCE_DIR) / "weights/dinov2_vits14.safetensors"
                    : std::filesystem::path(named);
  if (!std::filesystem::is_regular_file(file)) return std::nullopt;
  return file;
}

/// The message of the exception that `call` throws; fails the test if it is of another type.
template <typename Expected, typename Call>
std::string message_of(Call&& call) {
  try {
    call();
  } catch (const Expected& error) {
    return error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "another exception: " << error.what();
    return {};
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

}  // namespace nagl::testing

/// Ends the test because of what is missing: skipped; with NAGL_REQUIRE_DATA=1 in the environment,
/// failed.
#define NAGL_MISSING(text)                                                              \
  do {                                                                                  \
    if (::nagl::testing::environment("NAGL_REQUIRE_DATA") == "1") GTEST_FAIL() << text; \
    GTEST_SKIP() << text;                                                               \
  } while (false)

/// Skips the test unless the reference data is there; else defines `folder`.
#define NAGL_NEEDS_TEST_DATA(folder)                                              \
  const auto folder##_found = ::nagl::testing::test_data();                       \
  if (!folder##_found) {                                                          \
    NAGL_MISSING(                                                                 \
        "reference data not found: set NAGL_TEST_DATA, or put a folder `shared` " \
        "beside the repository");                                                 \
  }                                                                               \
  const std::filesystem::path folder = *folder##_found

/// Skips the test unless the backbone file is there; else defines `file`.
#define NAGL_NEEDS_BACKBONE(file)                                                            \
  const auto file##_found = ::nagl::testing::backbone_file();                                \
  if (!file##_found) NAGL_MISSING("backbone file not found: run scripts/fetch_backbone.py"); \
  const std::filesystem::path file = *file##_found
