#include "../dicom.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcdeftag.h>
#include <dcmtk/dcmdata/dcfilefo.h>
#include <dcmtk/dcmdata/dcmetinf.h>
#include <dcmtk/dcmdata/dcpixel.h>
#include <dcmtk/dcmdata/dcpixseq.h>
#include <dcmtk/dcmdata/dcpxitem.h>
#include <dcmtk/dcmdata/dcrledrg.h>
#include <dcmtk/dcmdata/dcxfer.h>
#include <dcmtk/dcmimage/diregist.h>
#include <dcmtk/dcmimgle/dcmimage.h>
#include <dcmtk/dcmjpeg/djdecode.h>
#include <dcmtk/dcmjpls/djdecode.h>
#include <fmt/format.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <exception>
#include <functional>
#include <mutex>
#include <opencv2/imgproc.hpp>
#include <optional>
#include <string_view>
#include <vector>

#include "nagl/core/quantile.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

/// Where a file names no window, this share of its values is black, and one as large white.
constexpr double kBlackShare = 0.005;

/// Values up to this size are read with the file; longer ones when they are asked for.
constexpr Uint32 kReadAtOnce = 4096;

constexpr const char* kDamaged = "is damaged: it cannot be read as DICOM";

void prepare_dcmtk() {
  static std::once_flag once;
  std::call_once(once, [] {
    OFLog::configure(OFLogger::OFF_LOG_LEVEL);
    DJDecoderRegistration::registerCodecs();
    DJLSDecoderRegistration::registerCodecs();
    DcmRLEDecoderRegistration::registerCodecs();
  });
}

[[noreturn]] void damaged(const OFCondition& why) {
  throw DicomFault(fmt::format("{} ({})", kDamaged, why.text()));
}

/// Bytes as a file that has no name: what DCMTK reads only when it is asked for needs one.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view bytes) : descriptor_(memfd_create("dicom", MFD_CLOEXEC)) {
    while (!bytes.empty()) {
      const ssize_t written = write(descriptor_, bytes.data(), bytes.size());
      if (written <= 0) {
        close(descriptor_);
        throw DicomFault("needs more memory than there is");
      }
      bytes.remove_prefix(static_cast<std::size_t>(written));
    }
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { close(descriptor_); }

  fs::path path() const { return fmt::format("/proc/self/fd/{}", descriptor_); }

 private:
  int descriptor_;
};

/// A file whose lengths were looked at.
struct Opened {
  std::optional<MemoryFile> memory;  ///< that `file` reads, if none on a disk
  DcmFileFormat file;
  DcmDataset* data = nullptr;
  DcmPixelData* pixels = nullptr;
  E_TransferSyntax syntax = EXS_Unknown;
  std::size_t bytes = 0;

  std::optional<Uint16> number(const DcmTagKey& tag) const {
    Uint16 value = 0;
    if (data->findAndGetUint16(tag, value).bad()) return std::nullopt;
    return value;
  }
  Uint16 needed(const DcmTagKey& tag, const char* name) const {
    const auto value = number(tag);
    if (!value) throw DicomFault(fmt::format("does not say its {}; it is damaged", name));
    return *value;
  }
  std::optional<double> decimal(const DcmTagKey& tag) const {
    Float64 value = 0;
    if (data->findAndGetFloat64(tag, value, 0).bad() || !std::isfinite(value)) return std::nullopt;
    return value;
  }
  std::string text(const DcmTagKey& tag) const {
    OFString value;
    data->findAndGetOFString(tag, value, 0);
    return {value.c_str(), value.size()};
  }
};

/// How many items a file may begin, whether they lie in each other or not.
std::size_t items_in(std::string_view bytes) {
  using namespace std::string_view_literals;
  std::size_t count = 0;
  for (const auto tag : {"\xFE\xFF\x00\xE0"sv, "\xFF\xFE\xE0\x00"sv}) {
    for (auto at = bytes.find(tag); at != std::string_view::npos; at = bytes.find(tag, at + 4)) {
      ++count;
    }
  }
  return count;
}

/// Calls `use` on a stack that is large enough for all items to lie in each other: DCMTK goes as
/// deep as a file does.
void on_a_stack_for(std::string_view bytes, const std::function<void()>& use) {
  constexpr std::size_t kOrdinary = std::size_t{8} << 20, kPerItem = 4096, kMostItems = 200'000;
  const std::size_t items = items_in(bytes);
  if (items > kMostItems) throw DicomFault("has more items than are read; save its frames apart");
  constexpr std::size_t kFew = 500;
  if (items <= kFew) {
    use();
    return;
  }
  struct Call {
    const std::function<void()>& use;
    std::exception_ptr failure;
  } call{use, nullptr};
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kOrdinary + items * kPerItem);
  pthread_t thread{};
  const int error = pthread_create(
      &thread, &attributes,
      [](void* given) -> void* {
        auto& own = *static_cast<Call*>(given);
        try {
          own.use();
        } catch (...) {
          own.failure = std::current_exception();
        }
        return nullptr;
      },
      &call);
  pthread_attr_destroy(&attributes);
  if (error != 0) throw DicomFault("needs more memory than there is");
  pthread_join(thread, nullptr);
  if (call.failure) std::rethrow_exception(call.failure);
}

/// Refuses run lengths that lead out of their fragment: DCMTK follows them.
/// @param pixels of a frame
void check_run_lengths(const unsigned char* data, std::size_t size, std::size_t pixels) {
  constexpr std::size_t kHeader = 64;
  const auto refuse = [](bool wrong) {
    if (wrong) throw DicomFault("is damaged: its run lengths lead out of the file");
  };
  const auto number = [&](std::size_t at) {
    return static_cast<std::size_t>(data[at]) | static_cast<std::size_t>(data[at + 1]) << 8 |
           static_cast<std::size_t>(data[at + 2]) << 16 |
           static_cast<std::size_t>(data[at + 3]) << 24;
  };
  refuse(size < kHeader || number(0) < 1 || number(0) > 15);
  const std::size_t segments = number(0);
  for (std::size_t i = 0; i < segments; ++i) {
    std::size_t at = number(4 * (i + 1));
    const std::size_t end = i + 1 < segments ? number(4 * (i + 2)) : size;
    refuse(at < kHeader || at > end || end > size);
    for (std::size_t done = 0; done < pixels;) {
      refuse(at >= end);
      const int code = data[at++];
      const int count = code < 128 ? code + 1 : 257 - code;
      if (code == 128) continue;
      at += code < 128 ? static_cast<std::size_t>(count) : 1;
      refuse(at > end);
      done += static_cast<std::size_t>(count);
    }
  }
}

/// The parts of compressed pixel data, a table first; null for data that is not compressed.
DcmPixelSequence* fragments_of(const Opened& opened) {
  DcmPixelSequence* fragments = nullptr;
  const bool there =
      DcmXfer(opened.syntax).isEncapsulated() &&
      opened.pixels->getEncapsulatedRepresentation(opened.syntax, nullptr, fragments).good();
  return there ? fragments : nullptr;
}

std::size_t pixels_of(const Opened& opened) {
  return static_cast<std::size_t>(opened.needed(DCM_Rows, "rows")) *
         opened.needed(DCM_Columns, "columns");
}

/// Refuses a JPEG or JPEG-LS of another size than the file says: its decoder takes memory by its
/// own word, and what it makes would be cut or torn. A fragment that begins none goes on with
/// another.
void check_jpeg(const unsigned char* data, std::size_t size, const Opened& opened) {
  if (size < 2 || data[0] != 0xFF || data[1] != 0xD8) return;
  const auto number = [&](std::size_t at) { return data[at] << 8 | data[at + 1]; };
  for (std::size_t at = 2; at + 10 <= size;) {
    const int marker = data[at + 1];
    if (data[at] != 0xFF) break;
    if (marker == 0xFF) {
      ++at;
      continue;
    }
    const bool frame =
        (marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC) ||
        marker == 0xF7;
    if (!frame) {
      at += 2 + static_cast<std::size_t>(number(at + 2));
      continue;
    }
    if (number(at + 5) == opened.needed(DCM_Rows, "rows") &&
        number(at + 7) == opened.needed(DCM_Columns, "columns") &&
        data[at + 9] == opened.number(DCM_SamplesPerPixel).value_or(1)) {
      return;
    }
    throw DicomFault("is damaged: the JPEG in it is of another size or kind than it says");
  }
  throw DicomFault("is damaged: the JPEG in it does not say its size");
}

/// Refuses what would have memory taken for more than the file holds, and runs that lead out of it.
void check_lengths(const Opened& opened) {
  const auto check = [&](std::size_t length) {
    if (length > opened.bytes) throw DicomFault("is shorter than it says; it is truncated");
  };
  for (unsigned long i = 0; i < opened.data->card(); ++i) {
    DcmElement* element = opened.data->getElement(i);
    if (element == opened.pixels || !element->isLeaf()) continue;
    check(element->getLengthField());
  }
  if (DcmPixelSequence* fragments = fragments_of(opened)) {
    std::size_t sum = 0;
    for (unsigned long i = 0; i < fragments->card(); ++i) {
      DcmPixelItem* fragment = nullptr;
      if (fragments->getItem(fragment, i).bad()) continue;
      check(sum += fragment->getLengthField());
      if (i == 0 || fragment->getLengthField() == 0) continue;
      Uint8* data = nullptr;
      if (fragment->getUint8Array(data).bad() || data == nullptr) throw DicomFault(kDamaged);
      if (opened.syntax == EXS_RLELossless) {
        check_run_lengths(data, fragment->getLength(), pixels_of(opened));
      } else {
        check_jpeg(data, fragment->getLength(), opened);
      }
    }
  } else {
    check(opened.pixels->getLengthField());
  }
}

void open(const fs::path& file, std::string_view bytes, Opened& opened) {
  prepare_dcmtk();
  if (file.empty()) opened.memory.emplace(bytes);
  const fs::path path = file.empty() ? opened.memory->path() : file;
  opened.bytes = bytes.size();
  // Deflated data has no lengths that could be held against the size of the file.
  DcmFileFormat meta;
  auto state = meta.loadFile(path.c_str(), EXS_Unknown, EGL_noChange, kReadAtOnce, ERM_metaOnly);
  OFString syntax;
  meta.getMetaInfo()->findAndGetOFString(DCM_TransferSyntaxUID, syntax);
  const DcmXfer announced(syntax.c_str());
  if (!syntax.empty() && announced.getXfer() == EXS_Unknown) {
    throw DicomFault(fmt::format("is stored in a way that is not known ('{}')", syntax.c_str()));
  }
  if (state.bad()) damaged(state);
  if (announced.getStreamCompression() != ESC_none) {
    throw DicomFault("is deflated as a whole, which is not read; save it without (dcmconv +te)");
  }
  state = opened.file.loadFile(path.c_str(), EXS_Unknown, EGL_noChange, kReadAtOnce);
  if (state.bad()) damaged(state);
  opened.data = opened.file.getDataset();
  opened.syntax = opened.data->getOriginalXfer();
  DcmElement* element = nullptr;
  if (opened.data->findAndGetElement(DCM_PixelData, element).bad() || element == nullptr) {
    throw DicomFault("holds no picture (no pixel data)");
  }
  opened.pixels = dynamic_cast<DcmPixelData*>(element);
  if (opened.pixels == nullptr) throw DicomFault(kDamaged);
  check_lengths(opened);
  const DcmXfer way(opened.syntax);
  if (way.isEncapsulated() &&
      !opened.pixels->canChooseRepresentation(EXS_LittleEndianExplicit, nullptr)) {
    throw DicomFault(fmt::format(
        "is compressed in a way that is not read ({}); save it uncompressed (gdcmconv --raw)",
        way.getXferName()));
  }
}

/// As many as it says, but no more than it has data for.
int frames_of(const Opened& opened) {
  Sint32 said = 1;
  if (opened.data->findAndGetSint32(DCM_NumberOfFrames, said).bad() || said <= 1) return 1;
  std::size_t most = 0;
  if (DcmPixelSequence* fragments = fragments_of(opened)) {
    most = std::max(1UL, fragments->card()) - 1;
  } else {
    const bool halved = opened.text(DCM_PhotometricInterpretation) == "YBR_FULL_422";
    const std::size_t samples = halved ? 2 : opened.number(DCM_SamplesPerPixel).value_or(1);
    const std::size_t bits = pixels_of(opened) * samples * opened.needed(DCM_BitsAllocated, "bits");
    most = std::size_t{8} * opened.pixels->getLengthField() / std::max<std::size_t>(1, bits);
  }
  return static_cast<int>(
      std::clamp<std::size_t>(static_cast<std::size_t>(said), 1, std::max<std::size_t>(1, most)));
}

/// Where the grey of a value comes from.
struct Greys {
  double low = 0, high = 255;  ///< become 0 and 255
  bool sigmoid = false;        ///< smoothly, about their middle

  double of(double value) const {
    if (sigmoid) {  // PS3.3, C.11.2.1.3.1
      return 255 / (1 + std::exp(-4 * (value - (low + high) / 2) / (high - low)));
    }
    return std::clamp((value - low) / std::max(high - low, 1e-30), 0.0, 1.0) * 255;
  }
};

/// What is stored of a grey frame.
struct Layout {
  Uint16 rows = 0, columns = 0, allocated = 0, stored = 0, high_bit = 0;
  bool is_signed = false;
  double slope = 1, intercept = 0;

  double lowest() const { return is_signed ? -std::ldexp(1.0, stored - 1) : 0; }
  double largest() const { return std::ldexp(1.0, is_signed ? stored - 1 : stored) - 1; }

  double value(std::uint32_t raw) const {
    const std::uint32_t mask = (1U << stored) - 1;
    const std::uint32_t bits = raw >> (high_bit + 1 - stored) & mask;
    const bool negative = is_signed && bits >> (stored - 1) != 0;
    const double number =
        negative ? static_cast<double>(bits) - std::ldexp(1.0, stored) : static_cast<double>(bits);
    return number * slope + intercept;
  }
};

Layout layout_of(const Opened& opened) {
  Layout layout;
  layout.rows = opened.needed(DCM_Rows, "rows");
  layout.columns = opened.needed(DCM_Columns, "columns");
  layout.allocated = opened.needed(DCM_BitsAllocated, "bits");
  layout.stored = opened.number(DCM_BitsStored).value_or(layout.allocated);
  layout.high_bit = opened.number(DCM_HighBit)
                        .value_or(static_cast<Uint16>(std::max(layout.stored, Uint16{1}) - 1));
  layout.is_signed = opened.number(DCM_PixelRepresentation).value_or(0) == 1;
  if (layout.rows == 0 || layout.columns == 0) throw DicomFault("has no rows or columns");
  if (layout.allocated != 8 && layout.allocated != 16) {
    throw DicomFault(
        fmt::format("has {} bits a value; 8 to 16 are read: save it so", layout.allocated));
  }
  if (layout.stored < 1 || layout.stored > layout.allocated ||
      layout.high_bit >= layout.allocated || layout.high_bit + 1 < layout.stored) {
    throw DicomFault("does not say rightly which bits count; it is damaged");
  }
  if (opened.data->tagExists(DCM_ModalityLUTSequence)) {
    throw DicomFault("scales its values by a table, which is not read; save it without");
  }
  const auto slope = opened.decimal(DCM_RescaleSlope);
  if (slope && *slope == 0) throw DicomFault("scales all its values to one; it is damaged");
  layout.slope = slope.value_or(1);
  layout.intercept = opened.decimal(DCM_RescaleIntercept).value_or(0);
  return layout;
}

Greys greys_of(const Opened& opened, const Layout& layout, const cv::Mat& values) {
  Greys greys;
  const auto center = opened.decimal(DCM_WindowCenter), width = opened.decimal(DCM_WindowWidth);
  const std::string function = opened.text(DCM_VOILUTFunction);
  const bool linear = function.empty() || function == "LINEAR";
  if (center && width && *width >= 1 && (!linear || *width > 1)) {
    greys.sigmoid = function == "SIGMOID";
    const double middle = linear ? *center - 0.5 : *center, wide = linear ? *width - 1 : *width;
    greys.low = middle - wide / 2;
    greys.high = middle + wide / 2;
    return greys;
  }
  if (layout.stored <= 8) {
    const double a = layout.lowest() * layout.slope + layout.intercept;
    const double b = layout.largest() * layout.slope + layout.intercept;
    greys.low = std::min(a, b);
    greys.high = std::max(a, b);
  } else {
    const std::vector<double> all(values.begin<double>(), values.end<double>());
    greys.low = quantile(all, kBlackShare);
    greys.high = quantile(all, 1 - kBlackShare);
  }
  return greys;
}

/// The frame's bytes, decompressed, in this machine's order.
std::vector<unsigned char> frame_bytes(const Opened& opened, int frame, std::size_t least) {
  Uint32 size = 0;
  auto state = opened.pixels->getUncompressedFrameSize(opened.data, size);
  if (state.bad()) damaged(state);
  if (size < least) throw DicomFault(kDamaged);
  std::vector<unsigned char> bytes(size + size % 2);
  Uint32 fragment = 0;
  OFString colors;
  state =
      opened.pixels->getUncompressedFrame(opened.data, static_cast<Uint32>(frame), fragment,
                                          bytes.data(), static_cast<Uint32>(bytes.size()), colors);
  if (state.bad()) damaged(state);
  return bytes;
}

void decode_grey(const Opened& opened, int frame, bool inverted, DicomPicture& picture) {
  const Layout layout = layout_of(opened);
  const bool wide = layout.allocated == 16;
  const std::size_t count = static_cast<std::size_t>(layout.rows) * layout.columns;
  const auto bytes = frame_bytes(opened, frame, count * (wide ? 2 : 1));
  picture.values.create(layout.rows, layout.columns, CV_64F);
  picture.samples.create(layout.rows, layout.columns, CV_8U);
  auto value = picture.values.begin<double>();
  for (std::size_t i = 0; i < count; ++i, ++value) {
    std::uint16_t raw = bytes[wide ? 2 * i : i];
    if (wide) std::memcpy(&raw, bytes.data() + 2 * i, 2);
    *value = layout.value(raw);
  }
  const Greys greys = greys_of(opened, layout, picture.values);
  auto sample = picture.samples.begin<unsigned char>();
  for (auto at = picture.values.begin<double>(); at != picture.values.end<double>(); ++at) {
    const double grey = greys.of(*at);
    *sample++ = static_cast<unsigned char>(std::lrint(inverted ? 255 - grey : grey));
  }
}

void decode_color(const Opened& opened, int frame, DicomPicture& picture) {
  DicomImage image(opened.data, opened.syntax, CIF_UsePartialAccessToPixelData,
                   static_cast<unsigned long>(frame), 1);
  if (image.getStatus() != EIS_Normal) {
    throw DicomFault(fmt::format("{} ({})", kDamaged, DicomImage::getString(image.getStatus())));
  }
  cv::Mat rgb(static_cast<int>(image.getHeight()), static_cast<int>(image.getWidth()), CV_8UC3);
  const std::size_t size = rgb.total() * rgb.elemSize();
  if (image.isMonochrome() || image.getOutputDataSize(8) != size ||
      image.getOutputData(rgb.data, size, 8) == 0) {
    throw DicomFault(kDamaged);
  }
  cv::cvtColor(rgb, picture.samples, cv::COLOR_RGB2BGR);
}

/// DCMTK reports by conditions, and now and then by what the standard library throws.
void guarded(std::string_view bytes, const std::function<void()>& use) {
  try {
    on_a_stack_for(bytes, use);
  } catch (const std::length_error&) {
    throw DicomFault(kDamaged);
  } catch (const std::out_of_range&) {
    throw DicomFault(kDamaged);
  }
}

}  // namespace

int dicom_frames(const fs::path& file, std::string_view bytes) {
  int frames = 1;
  guarded(bytes, [&] {
    Opened opened;
    open(file, bytes, opened);
    frames = frames_of(opened);
  });
  return frames;
}

DicomPicture decode_dicom(const fs::path& file, std::string_view bytes, int frame,
                          std::int64_t max_pixels) {
  DicomPicture picture;
  guarded(bytes, [&] {
    Opened opened;
    open(file, bytes, opened);
    picture.frames = frames_of(opened);
    if (frame >= picture.frames) return;
    const std::int64_t rows = opened.needed(DCM_Rows, "rows");
    const std::int64_t columns = opened.needed(DCM_Columns, "columns");
    if (rows * columns > max_pixels) {
      throw DicomFault(
          fmt::format("is {}x{}, more than the {:.0f} megapixels accepted; cut it, or "
                      "raise the limit (--max-pixels)",
                      columns, rows, static_cast<double>(max_pixels) / 1e6));
    }
    const std::string kind = opened.text(DCM_PhotometricInterpretation);
    if (kind == "MONOCHROME1" || kind == "MONOCHROME2") {
      decode_grey(opened, frame, kind == "MONOCHROME1", picture);
    } else {
      decode_color(opened, frame, picture);
    }
  });
  return picture;
}

}  // namespace nagl
