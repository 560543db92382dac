# Run by `cmake --install --component runtime`: Torch's libraries and those that they need of the folders
# beside Torch (a wheel's CUDA libraries), below lib/nagl. They lie to each other as they did, so they find
# each other by their own RPATHs. What the system has stays out.
#
# nagl_torch_dir:   Torch's folder, which becomes lib/nagl/torch
# nagl_torch_parts: what nagl is linked to, e.g. c10;torch_cpu
# nagl_strip:       the command that removes symbols

cmake_policy(VERSION 3.25)

file(REAL_PATH ${nagl_torch_dir} torch)
cmake_path(GET torch PARENT_PATH neighbors)

set(libraries ${nagl_torch_parts})
list(TRANSFORM libraries REPLACE "(.+)" "${torch}/lib/lib\\1.so")
if(torch_cuda IN_LIST nagl_torch_parts)
  # Loaded by name, when they are used. libcaffe2_nvrtc.so, for operators that are compiled as they are met,
  # is not among them: nagl uses none, and it needs a driver to be loaded at all.
  file(GLOB by_name ${torch}/lib/libtorch_cuda_linalg.so ${neighbors}/nvidia/*/lib/libcudnn_*.so.*
       ${neighbors}/nvidia/*/lib/libnvrtc.so.* ${neighbors}/nvidia/*/lib/libnvrtc-builtins.so.*)
  list(APPEND libraries ${by_name})
endif()
file(GET_RUNTIME_DEPENDENCIES LIBRARIES ${libraries} RESOLVED_DEPENDENCIES_VAR needed
     UNRESOLVED_DEPENDENCIES_VAR missing)
list(APPEND needed ${libraries})
list(REMOVE_DUPLICATES needed)
list(TRANSFORM needed REPLACE "^.*/" "" OUTPUT_VARIABLE needed_names)
list(REMOVE_ITEM missing ${needed_names})  # found by one that needs it, and then loaded for all
if(missing)
  message(FATAL_ERROR "Torch's libraries need ${missing}, found nowhere; run scripts/setup.sh")
endif()

foreach(library IN LISTS needed)
  cmake_path(NORMAL_PATH library)
  cmake_path(GET library PARENT_PATH folder)
  file(REAL_PATH ${folder} folder)
  cmake_path(IS_PREFIX torch ${folder} of_torch)
  cmake_path(IS_PREFIX neighbors ${folder} of_neighbors)
  if(of_torch)
    cmake_path(RELATIVE_PATH folder BASE_DIRECTORY ${torch})
    cmake_path(SET place lib/nagl/torch/${folder})
  elseif(of_neighbors AND folder MATCHES "/nvidia/")
    cmake_path(RELATIVE_PATH folder BASE_DIRECTORY ${neighbors})
    cmake_path(SET place lib/nagl/${folder})
  else()
    continue()
  endif()
  cmake_path(SET place ${CMAKE_INSTALL_PREFIX}/${place})
  file(INSTALL ${library} DESTINATION ${place} TYPE SHARED_LIBRARY FOLLOW_SYMLINK_CHAIN)
  if(of_torch AND CMAKE_INSTALL_DO_STRIP)  # NVIDIA's may be passed on as they are
    cmake_path(GET library FILENAME name)
    execute_process(COMMAND ${nagl_strip} --strip-unneeded $ENV{DESTDIR}${place}/${name}
                    COMMAND_ERROR_IS_FATAL ANY)
  endif()
endforeach()

# Their licences, which a wheel has in a folder of its own.
file(GLOB licences ${neighbors}/torch-*.dist-info/licenses/* ${neighbors}/nvidia_*.dist-info/licenses/*)
foreach(licence IN LISTS licences)
  string(REGEX MATCH "/([^/]+)-[^/]*\\.dist-info/licenses/([^/]*)$" name ${licence})
  file(INSTALL ${licence} DESTINATION ${CMAKE_INSTALL_PREFIX}/share/doc/nagl/licenses
       RENAME ${CMAKE_MATCH_1}-${CMAKE_MATCH_2})
endforeach()
