#include "../nifti.h"

#include <nifti/nifti1_io.h>
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "nagl/core/text.h"

namespace nagl {
namespace {

constexpr std::size_t kHeaderBytes = 348, kLargest = std::size_t{1} << 33;

/// All bytes of a file, decompressed.
std::string decoded_bytes(const std::filesystem::path& path) {
  const std::unique_ptr<gzFile_s, decltype(&gzclose)> file(gzopen(path.c_str(), "rb"), &gzclose);
  if (!file) throw NiftiFault("cannot be opened");
  std::string bytes;
  std::string piece(std::size_t{1} << 20, '\0');
  for (;;) {
    const int count = gzread(file.get(), piece.data(), static_cast<unsigned>(piece.size()));
    if (count < 0) throw NiftiFault("is damaged: it cannot be decompressed");
    if (count == 0) break;
    if (bytes.size() + static_cast<std::size_t>(count) > kLargest) {
      throw NiftiFault("is larger than 8 GiB; cut it");
    }
    bytes.append(piece.data(), static_cast<std::size_t>(count));
  }
  int state = Z_OK;
  gzerror(file.get(), &state);
  if (state != Z_OK && state != Z_STREAM_END) {
    throw NiftiFault("is damaged: it ends in the middle of its compressed data");
  }
  return bytes;
}

template <typename T>
T swapped(T value) {
  std::array<char, sizeof(T)> bytes;
  std::memcpy(bytes.data(), &value, sizeof(T));
  std::reverse(bytes.begin(), bytes.end());
  std::memcpy(&value, bytes.data(), sizeof(T));
  return value;
}

/// A header that was looked through before libnifti gets it.
struct Header {
  std::unique_ptr<nifti_image, decltype(&nifti_image_free)> image{nullptr, &nifti_image_free};
  nifti_1_header stored{};  ///< in this machine's byte order
  std::array<std::int64_t, 3> size{};
  std::size_t begin = 0;  ///< of the voxels
  int type = 0;
  std::size_t bytes = 0;  ///< of a voxel
  bool swap = false;
  double slope = 1, intercept = 0;
  /// For each axis of a Volume the file's own axis, and whether it leads the other way.
  std::array<int, 3> axis{};
  std::array<bool, 3> flipped{};
};

std::size_t bytes_of(int type) {
  switch (type) {
    case DT_UINT8:
    case DT_INT8:
      return 1;
    case DT_INT16:
    case DT_UINT16:
      return 2;
    case DT_INT32:
    case DT_UINT32:
    case DT_FLOAT32:
      return 4;
    case DT_FLOAT64:
      return 8;
    default:
      return 0;
  }
}

/// Which of the file's axes leads to the patient's right, front and top.
void find_axes(Header& header) {
  const mat44& way = header.stored.sform_code > 0 ? header.image->sto_xyz : header.image->qto_xyz;
  for (const auto& row : way.m) {
    for (const float value : row) {
      if (!std::isfinite(value)) throw NiftiFault("does not say how it lies; it is damaged");
    }
  }
  std::array<int, 3> codes{};
  nifti_mat44_to_orientation(way, &codes[0], &codes[1], &codes[2]);
  std::array<bool, 3> found{};
  for (int own = 0; own < 3; ++own) {
    const int code = codes[static_cast<std::size_t>(own)];
    const bool positive = code == NIFTI_L2R || code == NIFTI_P2A || code == NIFTI_I2S;
    const int leads = code == NIFTI_L2R || code == NIFTI_R2L   ? 0
                      : code == NIFTI_P2A || code == NIFTI_A2P ? 1
                      : code == NIFTI_I2S || code == NIFTI_S2I ? 2
                                                               : -1;
    if (leads < 0 || found[static_cast<std::size_t>(leads)]) {
      throw NiftiFault("does not say how it lies; it is damaged");
    }
    found[static_cast<std::size_t>(leads)] = true;
    header.axis[static_cast<std::size_t>(leads)] = own;
    header.flipped[static_cast<std::size_t>(leads)] = !positive;
  }
}

Header header_of(const std::string& bytes) {
  if (bytes.size() < kHeaderBytes) throw NiftiFault("is no NIfTI-1 file");
  nifti_1_header raw;
  std::memcpy(&raw, bytes.data(), kHeaderBytes);
  Header header;
  header.swap = raw.dim[0] < 1 || raw.dim[0] > 7;
  const auto read = [&](auto value) { return header.swap ? swapped(value) : value; };
  if (read(raw.sizeof_hdr) == 540) throw NiftiFault("is a NIfTI-2 file; save it as NIfTI-1");
  if (read(raw.sizeof_hdr) != static_cast<int>(kHeaderBytes) ||
      std::memcmp(raw.magic, "n+1", 4) != 0) {
    throw NiftiFault("is no NIfTI-1 file of header and voxels in one (.nii, .nii.gz)");
  }
  const int dimensions = read(raw.dim[0]);
  if (dimensions < 1 || dimensions > 7) throw NiftiFault("has a header that is damaged");
  std::int64_t others = 1, voxels = 1;
  for (int i = 1; i <= 7; ++i) {
    const std::int64_t size = i <= dimensions ? read(raw.dim[i]) : 1;
    if (size < 1) throw NiftiFault("has a header that is damaged");
    if (i <= 3) {
      header.size[static_cast<std::size_t>(i - 1)] = size;
      voxels *= size;  // at most 2^45
    } else {
      others = std::min<std::int64_t>(others * size, 1 << 20);
    }
  }
  if (others > 1) {
    throw NiftiFault("holds " + std::to_string(others) +
                     " volumes; save the one that counts alone");
  }
  header.type = read(raw.datatype);
  header.bytes = bytes_of(header.type);
  if (header.bytes == 0) {
    throw NiftiFault("holds voxels of a type that is not read (" + std::to_string(header.type) +
                     "); save it as 16-bit integers or float32");
  }
  const float offset = read(raw.vox_offset);
  if (!(offset >= static_cast<float>(kHeaderBytes)) || offset > 1e9F) {
    throw NiftiFault("has a header that is damaged");
  }
  header.begin = static_cast<std::size_t>(offset);
  if (header.begin > bytes.size() ||
      static_cast<std::size_t>(voxels) > (bytes.size() - header.begin) / header.bytes) {
    throw NiftiFault("is shorter than its header says; it is truncated");
  }
  const float slope = read(raw.scl_slope), intercept = read(raw.scl_inter);
  if (std::isfinite(slope) && slope != 0) {
    header.slope = slope;
    header.intercept = std::isfinite(intercept) ? intercept : 0;
  }
  nifti_set_debug_level(0);
  header.image.reset(nifti_convert_nhdr2nim(raw, "volume.nii"));
  if (!header.image) throw NiftiFault("has a header that is damaged");
  header.stored = nifti_convert_nim2nhdr(header.image.get());
  find_axes(header);
  return header;
}

/// Calls `use(place in the file, place in the volume)` for each voxel.
template <typename Use>
void for_each_voxel(const Header& header, Use&& use) {
  const std::array<std::int64_t, 3> stride = {1, header.size[0], header.size[0] * header.size[1]};
  std::array<std::int64_t, 3> size{}, step{};
  std::int64_t first = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    const auto own = static_cast<std::size_t>(header.axis[i]);
    size[i] = header.size[own];
    step[i] = header.flipped[i] ? -stride[own] : stride[own];
    if (header.flipped[i]) first += (size[i] - 1) * stride[own];
  }
  std::size_t there = 0;
  for (std::int64_t z = 0; z < size[2]; ++z) {
    for (std::int64_t y = 0; y < size[1]; ++y) {
      std::int64_t here = first + z * step[2] + y * step[1];
      for (std::int64_t x = 0; x < size[0]; ++x, here += step[0]) {
        use(static_cast<std::size_t>(here), there++);
      }
    }
  }
}

template <typename T>
void read_voxels(const Header& header, const char* data, std::vector<float>& voxels) {
  for_each_voxel(header, [&](std::size_t here, std::size_t there) {
    T value;
    std::memcpy(&value, data + here * sizeof(T), sizeof(T));
    if (header.swap) value = swapped(value);
    voxels[there] =
        static_cast<float>(static_cast<double>(value) * header.slope + header.intercept);
  });
}

std::array<std::int64_t, 3> volume_size(const Header& header) {
  std::array<std::int64_t, 3> size{};
  for (std::size_t i = 0; i < 3; ++i) {
    size[i] = header.size[static_cast<std::size_t>(header.axis[i])];
  }
  return size;
}

}  // namespace

Volume decode_nifti(const std::filesystem::path& file) {
  const std::string bytes = decoded_bytes(file);
  const Header header = header_of(bytes);
  const char* data = bytes.data() + header.begin;
  std::vector<float> voxels(
      static_cast<std::size_t>(header.size[0] * header.size[1] * header.size[2]));
  switch (header.type) {
    case DT_UINT8:
      read_voxels<std::uint8_t>(header, data, voxels);
      break;
    case DT_INT8:
      read_voxels<std::int8_t>(header, data, voxels);
      break;
    case DT_INT16:
      read_voxels<std::int16_t>(header, data, voxels);
      break;
    case DT_UINT16:
      read_voxels<std::uint16_t>(header, data, voxels);
      break;
    case DT_INT32:
      read_voxels<std::int32_t>(header, data, voxels);
      break;
    case DT_UINT32:
      read_voxels<std::uint32_t>(header, data, voxels);
      break;
    case DT_FLOAT32:
      read_voxels<float>(header, data, voxels);
      break;
    default:
      read_voxels<double>(header, data, voxels);
  }
  return {volume_size(header), std::move(voxels)};
}

std::string encode_nifti_like(const std::filesystem::path& like, const Volume& volume) {
  const Header header = header_of(decoded_bytes(like));
  if (volume_size(header) != volume.size()) throw NiftiFault("is of another size");
  nifti_1_header written = header.stored;
  written.datatype = DT_FLOAT32;
  written.bitpix = 32;
  written.scl_slope = 1;
  written.scl_inter = 0;
  written.cal_min = written.cal_max = 0;
  constexpr std::size_t kBegin = 352;  // four bytes that say that nothing stands between
  written.vox_offset = kBegin;
  std::memcpy(written.magic, "n+1", 4);
  std::string bytes(kBegin + volume.voxels().size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), &written, kHeaderBytes);
  for_each_voxel(header, [&](std::size_t here, std::size_t there) {
    std::memcpy(bytes.data() + kBegin + here * sizeof(float), &volume.voxels()[there],
                sizeof(float));
  });
  return bytes;
}

std::string compressed(const std::string& bytes) {
  z_stream stream{};
  constexpr int kGzip = 15 + 16, kFast = 1, kMemory = 8;
  if (deflateInit2(&stream, kFast, Z_DEFLATED, kGzip, kMemory, Z_DEFAULT_STRATEGY) != Z_OK) {
    throw NiftiFault("cannot be compressed");
  }
  std::string result(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.next_out = reinterpret_cast<Bytef*>(result.data());
  // zlib counts in 32 bits.
  std::size_t in = bytes.size(), out = result.size();
  int state = Z_OK;
  constexpr std::size_t kMost = std::numeric_limits<uInt>::max();
  while (state == Z_OK) {
    const auto give = static_cast<uInt>(std::min(in, kMost));
    const auto room = static_cast<uInt>(std::min(out, kMost));
    stream.avail_in = give;
    stream.avail_out = room;
    state = deflate(&stream, give == in ? Z_FINISH : Z_NO_FLUSH);
    in -= give - stream.avail_in;
    out -= room - stream.avail_out;
  }
  deflateEnd(&stream);
  if (state != Z_STREAM_END) throw NiftiFault("cannot be compressed");
  result.resize(result.size() - out);
  return result;
}

}  // namespace nagl
