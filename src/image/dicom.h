#pragma once

#include <cstdint>
#include <filesystem>
#include <opencv2/core/mat.hpp>
#include <stdexcept>
#include <string_view>

namespace nagl {

/// What of a DICOM file cannot be read, as the rest of a sentence that begins with its name.
struct DicomFault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A frame of a DICOM file.
struct DicomPicture {
  cv::Mat samples;  ///< uint8 [H, W] grey, or [H, W, 3] BGR
  cv::Mat values;   ///< of a grey one: float64 [H, W], as the file scales them
  int frames = 1;   ///< in the file
};

/// How many frames a file has. @param file empty: there is none beside the bytes
/// @param bytes what is in it
/// @throws DicomFault, also where nagl was built without DCMTK
int dicom_frames(const std::filesystem::path& file, std::string_view bytes);

/// Decodes one frame: values by the rescale of the file (PS3.3, C.11.1), then grey by its first
/// window (C.11.2.1.2); without one 8-bit values are as they are, and of others the 0.5 and 99.5
/// percentile of the frame become 0 and 255. MONOCHROME1 is inverted. Lengths that the file states
/// are held against its size before memory is taken for them.
/// @param file, bytes as above @param frame from 0 @param max_pixels larger ones are refused
/// @throws DicomFault as above
DicomPicture decode_dicom(const std::filesystem::path& file, std::string_view bytes, int frame,
                          std::int64_t max_pixels);

}  // namespace nagl
