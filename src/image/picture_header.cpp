#include "picture_header.h"

#include <cctype>
#include <cstdlib>
#include <optional>
#include <string>

namespace nagl {
namespace {

/// Bytes read by their place; beyond the end they are 0.
class Bytes {
 public:
  Bytes(std::string_view text, bool big_endian) : text_(text), big_endian_(big_endian) {}

  std::uint64_t number(std::uint64_t at, int bytes) const {
    std::uint64_t value = 0;
    for (int i = 0; i < bytes; ++i) {
      const std::uint64_t byte = byte_at(at + static_cast<std::uint64_t>(i));
      value |= byte << (8 * (big_endian_ ? bytes - 1 - i : i));
    }
    return value;
  }
  std::uint64_t size() const { return text_.size(); }
  bool has(std::uint64_t at, std::string_view what) const {
    return at <= text_.size() && text_.substr(at).starts_with(what);
  }
  std::string_view from(std::uint64_t at) const {
    return at <= text_.size() ? text_.substr(at) : std::string_view();
  }

 private:
  std::uint64_t byte_at(std::uint64_t at) const {
    return at < text_.size() ? static_cast<unsigned char>(text_[at]) : 0;
  }

  std::string_view text_;
  bool big_endian_;
};

constexpr int kMostPages = 100000;

/// The first directory of a TIFF (or of EXIF data) and how many full pictures follow each other.
struct TiffDirectory {
  std::uint64_t width = 0, height = 0, photometric = 1, compression = 1;
  int orientation = 1, pages = 0;
};

std::optional<TiffDirectory> read_tiff(std::string_view text) {
  const bool big_endian = text.starts_with("MM");
  if (!big_endian && !text.starts_with("II")) return std::nullopt;
  const Bytes bytes(text, big_endian);
  const std::uint64_t version = bytes.number(2, 2);
  if (version != 42 && version != 43) return std::nullopt;
  const bool wide = version == 43;  // BigTIFF
  const int offset_bytes = wide ? 8 : 4, count_bytes = wide ? 8 : 2;
  const std::uint64_t entry_bytes = wide ? 20 : 12;
  std::uint64_t place = bytes.number(wide ? 8 : 4, offset_bytes);
  TiffDirectory first;
  std::uint64_t seen = 0;  // entries: directories that lead in a circle come to an end
  for (int page = 0; place != 0 && place < bytes.size() && page < kMostPages; ++page) {
    const std::uint64_t count = bytes.number(place, count_bytes);
    const std::uint64_t entries = place + static_cast<std::uint64_t>(count_bytes);
    seen += count + 1;
    if (count > bytes.size() / entry_bytes || seen > bytes.size() / entry_bytes) break;
    std::uint64_t kind = 0;  // NewSubfileType: 1 a reduced picture, 4 a transparency mask
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t entry = entries + i * entry_bytes;
      const std::uint64_t tag = bytes.number(entry, 2), type = bytes.number(entry + 2, 2);
      const std::uint64_t value = entry + (wide ? 12 : 8);
      const std::uint64_t number = bytes.number(value, type == 3 ? 2 : type == 16 ? 8 : 4);
      if (tag == 254) kind = number;
      if (page > 0) continue;
      if (tag == 256) first.width = number;
      if (tag == 257) first.height = number;
      if (tag == 259) first.compression = number;
      if (tag == 262) first.photometric = number;
      if (tag == 274) first.orientation = static_cast<int>(number);
    }
    first.pages += page == 0 || (kind & 5) == 0;
    const std::uint64_t next = bytes.number(entries + count * entry_bytes, offset_bytes);
    if (next == place) break;
    place = next;
  }
  return first;
}

PictureHeader png(std::string_view text) {
  const Bytes bytes(text, true);
  PictureHeader header;
  header.format = PictureFormat::kPng;
  header.width = static_cast<std::int64_t>(bytes.number(16, 4));
  header.height = static_cast<std::int64_t>(bytes.number(20, 4));
  header.palette = bytes.number(25, 1) == 3;
  for (std::uint64_t at = 8; at + 8 < bytes.size() && !bytes.has(at + 4, "IDAT");
       at += 12 + bytes.number(at, 4)) {
    if (bytes.has(at + 4, "acTL")) header.pages = static_cast<int>(bytes.number(at + 8, 4));
  }
  return header;
}

PictureHeader jpeg(std::string_view text) {
  const Bytes bytes(text, true);
  PictureHeader header;
  header.format = PictureFormat::kJpeg;
  header.lossy = true;
  for (std::uint64_t at = 2; at + 9 < bytes.size();) {
    const std::uint64_t marker = bytes.number(at + 1, 1);
    if (bytes.number(at, 1) != 0xFF || marker == 0xDA) break;
    if (marker == 0xFF) {
      ++at;  // fill byte
      continue;
    }
    const bool frame =
        marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
    if (frame) {
      header.height = static_cast<std::int64_t>(bytes.number(at + 5, 2));
      header.width = static_cast<std::int64_t>(bytes.number(at + 7, 2));
      break;
    }
    at += 2 + bytes.number(at + 2, 2);
  }
  return header;
}

PictureHeader webp(std::string_view text) {
  const Bytes bytes(text, false);
  PictureHeader header;
  header.format = PictureFormat::kWebp;
  int frames = 0;
  const auto size_if_unknown = [&](std::uint64_t width, std::uint64_t height) {
    if (header.width != 0) return;
    header.width = static_cast<std::int64_t>(width);
    header.height = static_cast<std::int64_t>(height);
  };
  for (std::uint64_t at = 12; at + 8 <= bytes.size();) {
    const std::uint64_t size = bytes.number(at + 4, 4), data = at + 8;
    if (bytes.has(at, "VP8X")) {
      size_if_unknown(bytes.number(data + 4, 3) + 1, bytes.number(data + 7, 3) + 1);
    } else if (bytes.has(at, "VP8L")) {
      const std::uint64_t bits = bytes.number(data + 1, 4);
      size_if_unknown((bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1);
    } else if (bytes.has(at, "VP8 ")) {
      header.lossy = true;
      size_if_unknown(bytes.number(data + 6, 2) & 0x3FFF, bytes.number(data + 8, 2) & 0x3FFF);
    } else if (bytes.has(at, "ANMF")) {
      ++frames;
    } else if (bytes.has(at, "EXIF")) {
      std::string_view exif = bytes.from(data).substr(0, size);
      if (exif.starts_with("Exif")) exif.remove_prefix(std::min<std::size_t>(6, exif.size()));
      const auto directory = read_tiff(exif);
      if (directory && directory->orientation >= 1 && directory->orientation <= 8) {
        header.orientation = directory->orientation;
      }
    }
    at = data + size + size % 2;
  }
  header.pages = std::max(1, frames);
  return header;
}

PictureHeader tiff(const TiffDirectory& directory) {
  PictureHeader header;
  header.format = PictureFormat::kTiff;
  header.width = static_cast<std::int64_t>(directory.width);
  header.height = static_cast<std::int64_t>(directory.height);
  header.palette = directory.photometric == 3;
  header.lossy = directory.compression == 6 || directory.compression == 7;
  header.pages = std::max(1, directory.pages);
  return header;
}

PictureHeader bmp(std::string_view text) {
  const Bytes bytes(text, false);
  PictureHeader header;
  header.format = PictureFormat::kBmp;
  const auto side = [&](std::uint64_t at) {
    return std::abs(static_cast<std::int64_t>(static_cast<std::int32_t>(bytes.number(at, 4))));
  };
  if (bytes.number(14, 4) >= 40) {
    header.width = side(18);
    header.height = side(22);
    header.palette = bytes.number(28, 2) <= 8;
  }
  return header;
}

/// P1 to P6: width, height and, but for bitmaps, what white is, as numbers between blanks and
/// comments; P7: lines of names and values.
PictureHeader pnm(std::string_view text) {
  PictureHeader header;
  header.format = PictureFormat::kPnm;
  const bool named = text[1] == '7', bitmap = text[1] == '1' || text[1] == '4';
  std::int64_t values[3] = {0, 0, 0};
  int found = 0;
  std::string name;
  for (std::size_t at = 2; at < text.size() && found < 3;) {
    const auto c = static_cast<unsigned char>(text[at]);
    if (c == '#') {
      while (at < text.size() && text[at] != '\n') ++at;
    } else if (std::isspace(c) != 0) {
      ++at;
    } else if (named && std::isdigit(c) == 0) {
      name.clear();
      while (at < text.size() && std::isspace(static_cast<unsigned char>(text[at])) == 0) {
        name += text[at++];
      }
      if (name == "ENDHDR") break;
    } else if (std::isdigit(c) != 0) {
      std::int64_t value = 0;
      while (at < text.size() && std::isdigit(static_cast<unsigned char>(text[at])) != 0) {
        value = std::min<std::int64_t>(value * 10 + (text[at++] - '0'), std::int64_t{1} << 31);
      }
      if (!named) {
        values[found++] = value;
        if (bitmap && found == 2) break;
      } else if (name == "WIDTH" || name == "HEIGHT" || name == "MAXVAL") {
        values[name == "WIDTH" ? 0 : name == "HEIGHT" ? 1 : 2] = value;
      }
    } else {
      break;
    }
  }
  header.width = values[0];
  header.height = values[1];
  header.largest_value = bitmap ? 0 : static_cast<int>(values[2]);
  return header;
}

/// The boxes of JP2, or the bare code stream.
PictureHeader jpeg2000(std::string_view text) {
  const Bytes bytes(text, true);
  PictureHeader header;
  header.format = PictureFormat::kJpeg2000;
  const auto coding = text.substr(0, 1 << 16).find("\xFF\x52");  // its last field: 1 is reversible
  header.lossy = coding == std::string_view::npos || bytes.number(coding + 13, 1) != 1;
  const auto box = text.substr(0, 4096).find("ihdr");
  const std::uint64_t height = box == std::string_view::npos ? 12 : box + 4;
  const std::uint64_t width = box == std::string_view::npos ? 8 : box + 8;
  header.width = static_cast<std::int64_t>(bytes.number(width, 4));
  header.height = static_cast<std::int64_t>(bytes.number(height, 4));
  return header;
}

/// A preamble of 128 bytes that mean nothing, then the mark of PS3.10, 7.1.
bool is_dicom(std::string_view bytes) {
  constexpr std::size_t kPreamble = 128;
  return bytes.size() > kPreamble && bytes.substr(kPreamble).starts_with("DICM");
}

}  // namespace

PictureHeader read_header(std::string_view bytes) {
  using namespace std::string_view_literals;
  if (bytes.starts_with("\x89PNG"sv)) return png(bytes);
  if (bytes.starts_with("\xFF\xD8\xFF"sv)) return jpeg(bytes);
  if (bytes.starts_with("RIFF"sv) && bytes.substr(0, 12).ends_with("WEBP"sv)) return webp(bytes);
  if (bytes.starts_with("BM"sv)) return bmp(bytes);
  if (bytes.size() > 2 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '7') return pnm(bytes);
  if (bytes.starts_with("\0\0\0\x0CjP"sv) || bytes.starts_with("\xFF\x4F\xFF\x51"sv)) {
    return jpeg2000(bytes);
  }
  if (is_dicom(bytes)) return {.format = PictureFormat::kDicom};
  if (const auto directory = read_tiff(bytes)) return tiff(*directory);
  return {};
}

}  // namespace nagl
