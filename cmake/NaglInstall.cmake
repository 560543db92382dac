# `cmake --install`: the executable, the libraries with their headers, the package that
# find_package(nagl CONFIG) finds, and the backbone file where there is one.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/nagl)

install(TARGETS nagl RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS nagl_engine nagl_nagl EXPORT naglTargets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/nagl DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT naglTargets NAMESPACE nagl:: DESTINATION ${package_dir})

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/naglConfig.cmake.in
                              ${PROJECT_BINARY_DIR}/naglConfig.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/naglConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/naglConfig.cmake ${PROJECT_BINARY_DIR}/naglConfigVersion.cmake
              ${PROJECT_SOURCE_DIR}/cmake/FindTorch.cmake
              ${PROJECT_SOURCE_DIR}/cmake/FindNifti.cmake DESTINATION ${package_dir})
install(FILES ${PROJECT_SOURCE_DIR}/weights/dinov2_vits14.safetensors
        DESTINATION ${CMAKE_INSTALL_DATADIR}/nagl OPTIONAL)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/NOTICE
        DESTINATION ${CMAKE_INSTALL_DOCDIR})
