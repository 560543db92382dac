#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string>

namespace nagl::testing {

using Affine = std::array<std::array<float, 4>, 3>;  ///< rows of a NIfTI file's sform

/// Right, front, up.
inline constexpr Affine kRas = {{{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}}};

template <typename T>
void put(std::string& bytes, std::size_t at, T value, bool swap = false) {
  std::array<char, sizeof(T)> raw;
  std::memcpy(raw.data(), &value, sizeof(T));
  if (swap) std::reverse(raw.begin(), raw.end());
  std::memcpy(bytes.data() + at, raw.data(), sizeof(T));
}

/// A NIfTI-1 file of 16-bit integers 1, 2, 3, ...
/// @param way what each of the file's axes leads to @param swap in the other byte order
inline std::string nifti(std::array<std::int16_t, 3> size, const Affine& way, bool swap = false) {
  const auto voxels = static_cast<std::size_t>(size[0]) * static_cast<std::size_t>(size[1]) *
                      static_cast<std::size_t>(size[2]);
  std::string bytes(352 + voxels * 2, '\0');
  put<std::int32_t>(bytes, 0, 348, swap);
  put<std::int16_t>(bytes, 40, 3, swap);
  for (std::size_t i = 0; i < 7; ++i) {
    put<std::int16_t>(bytes, 42 + 2 * i, i < 3 ? size[i] : std::int16_t{1}, swap);
  }
  put<std::int16_t>(bytes, 70, 4, swap);   // datatype: int16
  put<std::int16_t>(bytes, 72, 16, swap);  // bits
  for (std::size_t i = 0; i < 8; ++i) put<float>(bytes, 76 + 4 * i, 1, swap);
  put<float>(bytes, 108, 352, swap);       // where voxels begin
  put<std::int16_t>(bytes, 254, 1, swap);  // the affine counts
  for (std::size_t row = 0; row < 3; ++row) {
    for (std::size_t i = 0; i < 4; ++i) {
      put<float>(bytes, 280 + 16 * row + 4 * i, way[row][i], swap);
    }
  }
  std::memcpy(bytes.data() + 344, "n+1", 4);
  for (std::size_t i = 0; i < voxels; ++i) {
    put<std::int16_t>(bytes, 352 + 2 * i, static_cast<std::int16_t>(i + 1), swap);
  }
  return bytes;
}

}  // namespace nagl::testing
