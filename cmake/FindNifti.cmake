# Nifti::niftiio, the NIfTI-1 library, where it and zlib are found (Debian: libniftiio-dev, and of what its
# header and library need libnifti2-dev and libznz-dev).
find_path(NIFTI_INCLUDE_DIR nifti/nifti1_io.h)
find_file(NIFTI_FORMAT_HEADER nifti/nifti1.h)
find_library(NIFTI_niftiio_LIBRARY niftiio)
find_library(NIFTI_znz_LIBRARY znz)
find_package(ZLIB QUIET)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  Nifti REQUIRED_VARS NIFTI_niftiio_LIBRARY NIFTI_znz_LIBRARY NIFTI_INCLUDE_DIR NIFTI_FORMAT_HEADER ZLIB_FOUND)
mark_as_advanced(NIFTI_FORMAT_HEADER NIFTI_INCLUDE_DIR NIFTI_niftiio_LIBRARY NIFTI_znz_LIBRARY)
if(Nifti_FOUND AND NOT TARGET Nifti::niftiio)
  add_library(Nifti::niftiio INTERFACE IMPORTED)
  target_include_directories(Nifti::niftiio SYSTEM INTERFACE ${NIFTI_INCLUDE_DIR})
  # Its header includes others of its folder by their names alone.
  target_include_directories(Nifti::niftiio SYSTEM INTERFACE ${NIFTI_INCLUDE_DIR}/nifti)
  target_link_libraries(Nifti::niftiio INTERFACE ${NIFTI_niftiio_LIBRARY} ${NIFTI_znz_LIBRARY}
                                                 ZLIB::ZLIB)
endif()
