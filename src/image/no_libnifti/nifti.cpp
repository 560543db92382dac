#include "../nifti.h"

namespace nagl {
namespace {

[[noreturn]] void fail() {
  throw NiftiFault(
      "is a volume, and nagl was built without libnifti; install it (libniftiio-dev) and build "
      "again");
}

}  // namespace

Volume decode_nifti(const std::filesystem::path&) { fail(); }
std::string encode_nifti_like(const std::filesystem::path&, const Volume&) { fail(); }
std::string compressed(const std::string&) { fail(); }

}  // namespace nagl
