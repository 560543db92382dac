#include "../dicom.h"

namespace nagl {
namespace {

[[noreturn]] void fail() {
  throw DicomFault(
      "is a DICOM file, and nagl was built without DCMTK; install it (libdcmtk-dev) and build "
      "again");
}

}  // namespace

int dicom_frames(const std::filesystem::path&, std::string_view) { fail(); }
DicomPicture decode_dicom(const std::filesystem::path&, std::string_view, int, std::int64_t) {
  fail();
}

}  // namespace nagl
