# `cmake --install`: the executable with its completions, the libraries with their headers, the package
# that find_package(nagl CONFIG) finds, and the backbone file where there is one. Torch stays where it is.
#
# A component alone (`cmake --install --component runtime` or `development`) carries Torch along, its
# libraries or its headers, in lib/nagl/torch, and refers to no other. NaglPackage makes packages of them.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/nagl)
set(carried_torch lib/nagl/torch)
set(carried_rpath "\$ORIGIN/../${carried_torch}/lib")
set_target_properties(nagl PROPERTIES INSTALL_RPATH "${carried_rpath};${NAGL_TORCH_DIR}/lib")

install(TARGETS nagl RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT runtime)
install(CODE "set(nagl_executable \"$<TARGET_FILE:nagl>\")
              set(nagl_scratch \"${PROJECT_BINARY_DIR}/completions\")" COMPONENT runtime)
install(SCRIPT ${PROJECT_SOURCE_DIR}/cmake/install_completions.cmake COMPONENT runtime)
install(FILES ${PROJECT_SOURCE_DIR}/weights/dinov2_vits14.safetensors
        DESTINATION ${CMAKE_INSTALL_DATADIR}/nagl COMPONENT runtime OPTIONAL)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/NOTICE
        DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT runtime)

install(TARGETS nagl_engine nagl_nagl EXPORT naglTargets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/nagl DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        COMPONENT development)
install(EXPORT naglTargets NAMESPACE nagl:: DESTINATION ${package_dir} COMPONENT development)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/naglConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/naglConfigVersion.cmake
              ${PROJECT_SOURCE_DIR}/cmake/FindTorch.cmake
              ${PROJECT_SOURCE_DIR}/cmake/FindNifti.cmake DESTINATION ${package_dir} COMPONENT development)

# naglConfig.cmake looks for Torch in torch_dir, a path or one below the prefix.
set(torch_dir ${NAGL_TORCH_DIR})
configure_package_config_file(cmake/naglConfig.cmake.in ${PROJECT_BINARY_DIR}/naglConfig.cmake
                              INSTALL_DESTINATION ${package_dir} PATH_VARS torch_dir)
set(torch_dir ${carried_torch})
configure_package_config_file(cmake/naglConfig.cmake.in ${PROJECT_BINARY_DIR}/carried/naglConfig.cmake
                              INSTALL_DESTINATION ${package_dir} PATH_VARS torch_dir)
install(CODE "set(folder \"${PROJECT_BINARY_DIR}\")
              if(CMAKE_INSTALL_COMPONENT)
                string(APPEND folder /carried)
              endif()
              file(INSTALL \"\${folder}/naglConfig.cmake\"
                   DESTINATION \"\${CMAKE_INSTALL_PREFIX}/${package_dir}\")" COMPONENT development)

# Of a component alone.
install(DIRECTORY ${TORCH_INCLUDE_DIR} DESTINATION ${carried_torch} COMPONENT development EXCLUDE_FROM_ALL)
cmake_path(GET NAGL_TORCH_DIR PARENT_PATH torch_neighbors)  # a wheel's CUDA packages lie beside it
if(NAGL_CUDA)
  # What Torch::CudaHeaders needs, which the engine is linked to.
  foreach(folder IN ITEMS ${TORCH_CUDA_INCLUDE_DIR} ${TORCH_CUDA_CRT_INCLUDE_DIR})
    cmake_path(NORMAL_PATH folder)
    cmake_path(RELATIVE_PATH folder BASE_DIRECTORY ${torch_neighbors}/nvidia)
    if(NOT folder MATCHES "^\\.\\.")
      cmake_path(GET folder PARENT_PATH part)
      install(DIRECTORY ${torch_neighbors}/nvidia/${folder} DESTINATION lib/nagl/nvidia/${part}
              COMPONENT development EXCLUDE_FROM_ALL)
    endif()
  endforeach()
endif()
install(CODE "set(nagl_torch_dir \"${NAGL_TORCH_DIR}\")
              set(nagl_torch_parts \"${torch_parts}\")
              set(nagl_strip \"${CMAKE_STRIP}\")
              file(RPATH_CHANGE
                FILE \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/nagl\"
                OLD_RPATH [[${carried_rpath}:${NAGL_TORCH_DIR}/lib]] NEW_RPATH [[${carried_rpath}]])"
        COMPONENT runtime EXCLUDE_FROM_ALL)
install(SCRIPT ${PROJECT_SOURCE_DIR}/cmake/install_torch.cmake COMPONENT runtime EXCLUDE_FROM_ALL)
