# How the project's own targets are made: warnings, sanitizers, and one precompiled <torch/torch.h>
# that all of them share.

# The precompiled header is position independent, so everything must be; a property a target would
# make the flags differ and the header unusable.
add_compile_options(-fPIC)
set(CMAKE_LINK_DEPENDS_NO_SHARED ON)
set(CMAKE_INSTALL_RPATH ${NAGL_TORCH_DIR}/lib)  # an installed executable finds Torch where it is

if(NAGL_SANITIZE)
  # With sanitizers g++ takes members of an empty std::optional for uninitialised.
  add_compile_options(-fsanitize=${NAGL_SANITIZE} -fno-sanitize-recover=undefined
                      -fno-omit-frame-pointer -Wno-maybe-uninitialized)
  add_link_options(-fsanitize=${NAGL_SANITIZE})
endif()

file(WRITE ${PROJECT_BINARY_DIR}/torch_pch.cpp.in "// Carries the precompiled header.\n")
configure_file(${PROJECT_BINARY_DIR}/torch_pch.cpp.in ${PROJECT_BINARY_DIR}/torch_pch.cpp COPYONLY)
add_library(nagl_torch_pch OBJECT ${PROJECT_BINARY_DIR}/torch_pch.cpp)
target_link_libraries(nagl_torch_pch PRIVATE Torch::Torch)
if(NAGL_HEADERS)  # Torch's headers take theirs of fmt from the same place as the project's
  target_link_libraries(nagl_torch_pch PRIVATE spdlog::spdlog_header_only)
endif()
target_precompile_headers(nagl_torch_pch PRIVATE <torch/torch.h>)

function(nagl_common_options target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Winvalid-pch
                                           $<$<BOOL:${NAGL_WERROR}>:-Werror>)
  target_precompile_headers(${target} REUSE_FROM nagl_torch_pch)
endfunction()

# nagl_without_torch(SOURCE...): these sources of the calling folder use no Torch, and compile several
# times faster without its precompiled header.
function(nagl_without_torch)
  set_source_files_properties(${ARGN} PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
endfunction()

# nagl_library(NAME ROOMS room... LINK target...): the library nagl::NAME from src/ROOM/*.cpp.
function(nagl_library name)
  cmake_parse_arguments(arg "" "" "ROOMS;LINK" ${ARGN})
  set(patterns ${arg_ROOMS})
  list(TRANSFORM patterns REPLACE "(.+)" "${PROJECT_SOURCE_DIR}/src/\\1/*.cpp")
  file(GLOB sources CONFIGURE_DEPENDS ${patterns})
  set(target nagl_${name})
  add_library(${target} STATIC ${sources})
  add_library(nagl::${name} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name} OUTPUT_NAME nagl-${name})
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_link_libraries(${target} PUBLIC ${arg_LINK})
  nagl_common_options(${target})
endfunction()

# nagl_test(ROOM/UNIT_test.cpp LINK target...): the test executable ROOM_UNIT_test.
function(nagl_test source)
  cmake_parse_arguments(arg "" "" "LINK" ${ARGN})
  cmake_path(GET source STEM unit)
  cmake_path(GET source PARENT_PATH room)
  set(target ${room}_${unit})
  add_executable(${target} ${source})
  target_link_libraries(${target} PRIVATE ${arg_LINK} GTest::gtest_main)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_compile_definitions(${target} PRIVATE NAGL_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
                                               NAGL_EXECUTABLE="$<TARGET_FILE:nagl>")
  nagl_common_options(${target})
  gtest_discover_tests(${target} TEST_PREFIX ${room}/ DISCOVERY_MODE PRE_TEST
                       DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 900 PROCESSORS 2)
endfunction()

# nagl_tests(ROOM LINK target...): a test executable for each tests/ROOM/*_test.cpp.
function(nagl_tests room)
  file(GLOB sources RELATIVE ${PROJECT_SOURCE_DIR}/tests CONFIGURE_DEPENDS
       ${PROJECT_SOURCE_DIR}/tests/${room}/*_test.cpp)
  foreach(source IN LISTS sources)
    nagl_test(${source} ${ARGN})
  endforeach()
endfunction()
