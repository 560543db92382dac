#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace nagl {

/// SHA-256 (FIPS 180-4) of bytes that come in pieces: what files and weights are recognised by.
class Sha256 {
 public:
  Sha256& update(const void* data, std::size_t size);
  Sha256& update(std::string_view text) { return update(text.data(), text.size()); }

  /// 64 lower-case hexadecimal digits. Call once, last.
  std::string hex();

 private:
  void block(const unsigned char* bytes);

  std::array<std::uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<unsigned char, 64> waiting_{};
  std::size_t waiting_size_ = 0;
  std::uint64_t total_ = 0;
};

/// SHA-256 of a whole file. Throws DataError naming the file if it cannot be read.
std::string sha256_of_file(const std::filesystem::path& path);

}  // namespace nagl
