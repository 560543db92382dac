#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace nagl {

/// SHA-256 (FIPS 180-4) of bytes that come in pieces: what files and weights are recognised by.
/// Done by OpenSSL where nagl was built with it (src/core/openssl), else by code of its own, which
/// is several times slower (src/core/plain).
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  Sha256& update(const void* data, std::size_t size);
  Sha256& update(std::string_view text) { return update(text.data(), text.size()); }

  /// 64 lower-case hexadecimal digits. Call once, last.
  std::string hex();

 private:
  struct State;

  std::unique_ptr<State> state_;
};

/// SHA-256 of a whole file. Throws DataError naming the file if it cannot be read.
std::string sha256_of_file(const std::filesystem::path& path);

}  // namespace nagl
