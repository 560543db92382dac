#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>

#include "nagl/image/volume.h"

namespace nagl {

/// What of a NIfTI file cannot be read or written, as the rest of a sentence that begins with its
/// name.
struct NiftiFault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Memory is taken as the file is decoded, never by what its header says.
/// @throws NiftiFault, also where nagl was built without libnifti
Volume decode_nifti(const std::filesystem::path& file);

/// The bytes of a file with the voxels of `volume`, which lies as that in `like` does, not
/// compressed. @throws NiftiFault as above
std::string encode_nifti_like(const std::filesystem::path& like, const Volume& volume);

/// Bytes as `.gz` has them. @throws NiftiFault
std::string compressed(const std::string& bytes);

}  // namespace nagl
