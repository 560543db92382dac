# `cpack`, or the target `package`: Debian packages of the components of NaglInstall, in packages/ of the
# build folder.
#   nagl         the command, its completions, the backbone file where there is one, Torch's libraries
#   libnagl-dev  what find_package(nagl CONFIG) finds, and Torch's headers
set(NAGL_PACKAGE_MAINTAINER "The nagl authors <authors@nagl.invalid>" CACHE STRING
    "Name and address of who answers for the packages")

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_BINARY_DIR}/packages)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_COMPONENTS_ALL runtime development)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE gzip)  # xz takes 100 s on two processors and saves a fifth
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")  # the first lines of the descriptions below
set(CPACK_DEBIAN_PACKAGE_MAINTAINER ${NAGL_PACKAGE_MAINTAINER})
set(CPACK_DEBIAN_PACKAGE_SOURCE nagl)
set(CPACK_DEBIAN_PACKAGE_VERSION ${PROJECT_VERSION})
if(NAGL_CUDA)
  string(APPEND CPACK_DEBIAN_PACKAGE_VERSION +cuda)
endif()

set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME nagl)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION science)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
# CUDA's parts find each other only once they are loaded.
file(GLOB CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${torch_neighbors}/nvidia/*/lib)
list(PREPEND CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${NAGL_TORCH_DIR}/lib)
set(CPACK_DEBIAN_RUNTIME_DESCRIPTION "few-shot visual anomaly detection
nagl finds defects in pictures from a handful of good examples: for each picture
an anomaly score, a heat map and, once calibrated, a verdict. Nothing is trained
on the parts that are checked.

This package holds the command, and Torch ${Torch_VERSION} in a folder of its own.")

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libnagl-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SHLIBDEPS OFF)
set(CPACK_DEBIAN_DEVELOPMENT_DESCRIPTION "few-shot visual anomaly detection (development files)
nagl finds defects in pictures from a handful of good examples.

This package holds the C++ library, which is linked statically, its headers and
those of Torch ${Torch_VERSION}, and what find_package(nagl CONFIG) of CMake finds.")
# Where the headers and naglConfig.cmake lead: a package for each find_dependency.
set(depends "nagl (= ${CPACK_DEBIAN_PACKAGE_VERSION})" libopencv-dev nlohmann-json3-dev libspdlog-dev)
foreach(found_packages IN ITEMS OPENSSL_FOUND:libssl-dev Nifti_FOUND:libniftiio-dev,libnifti2-dev,libznz-dev,zlib1g-dev
                                DCMTK_FOUND:libdcmtk-dev TIFF_FOUND:libtiff-dev
                                HTTPLIB_FOUND:libcpp-httplib-dev,pkg-config
                                MOSQUITTO_FOUND:libmosquitto-dev,pkg-config)
  string(REPLACE ":" ";" found_packages ${found_packages})
  list(GET found_packages 0 found)
  list(GET found_packages 1 packages)
  if(${found})
    string(REPLACE "," ";" packages ${packages})
    list(APPEND depends ${packages})
  endif()
endforeach()
list(REMOVE_DUPLICATES depends)
list(JOIN depends ", " CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS)

# What Debian asks of a package's documentation, in the packages alone.
string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC)
configure_file(${PROJECT_SOURCE_DIR}/cmake/debian/changelog.in ${PROJECT_BINARY_DIR}/debian/changelog)
foreach(component_package IN ITEMS runtime:nagl development:libnagl-dev)
  string(REPLACE ":" ";" component_package ${component_package})
  list(GET component_package 0 component)
  list(GET component_package 1 package)
  install(FILES ${PROJECT_SOURCE_DIR}/cmake/debian/copyright DESTINATION share/doc/${package}
          COMPONENT ${component} EXCLUDE_FROM_ALL)
  install(CODE "file(ARCHIVE_CREATE OUTPUT \"${PROJECT_BINARY_DIR}/debian/changelog.gz\"
                     PATHS \"${PROJECT_BINARY_DIR}/debian/changelog\" FORMAT raw COMPRESSION GZip COMPRESSION_LEVEL 9)
                file(INSTALL \"${PROJECT_BINARY_DIR}/debian/changelog.gz\"
                     DESTINATION \"\${CMAKE_INSTALL_PREFIX}/share/doc/${package}\")"
          COMPONENT ${component} EXCLUDE_FROM_ALL)
endforeach()

include(CPack)
