# How the project's own targets are made: warnings, sanitizers, and one precompiled nagl/core/torch.h
# that all of them share.

# The precompiled header is position independent, so everything must be; a property a target would
# make the flags differ and the header unusable.
add_compile_options(-fPIC)
set(CMAKE_LINK_DEPENDS_NO_SHARED ON)

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
target_precompile_headers(nagl_torch_pch PRIVATE ${PROJECT_SOURCE_DIR}/include/nagl/core/torch.h)

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

# nagl_optional(ROOM FOUND LIBRARY [FLAGS flag...] [LINK target...]): what a room does by a library that may be
# missing. Its sources are src/ROOM/LIBRARY/*.cpp where the variable FOUND is true, else src/ROOM/no_LIBRARY/*.cpp.
# FLAGS are for these sources alone, which then go without the precompiled header.
function(nagl_optional room found library)
  cmake_parse_arguments(arg "" "" "FLAGS;LINK" ${ARGN})
  if(NOT room IN_LIST NAGL_ROOMS)
    return()
  endif()
  if(NOT ${found})
    file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${room}/no_${library}/*.cpp)
    target_sources(nagl_nagl PRIVATE ${sources})
    return()
  endif()
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${room}/${library}/*.cpp)
  target_sources(nagl_nagl PRIVATE ${sources})
  target_link_libraries(nagl_nagl PRIVATE ${arg_LINK})
  if(arg_FLAGS)
    set_source_files_properties(${sources} PROPERTIES COMPILE_OPTIONS "${arg_FLAGS}" SKIP_PRECOMPILE_HEADERS ON)
  endif()
endfunction()

# Tests in sources of tests/, ROOM/UNIT_test.cpp. What a TEST's name begins with says what it needs:
# `golden` reference data, `slow` minutes, `gpu` a CUDA device, `SeveralThreads` processors. The others run
# on one.
set(nagl_kinds golden slow gpu SeveralThreads)

# nagl_ctest(NAME TARGET FILTER LABEL...): the TESTs of FILTER as one test of CTest, in one process.
function(nagl_ctest name target filter)
  add_test(NAME ${name} COMMAND ${target} --gtest_filter=${filter})
  set_tests_properties(${name} PROPERTIES LABELS "${ARGN}" SKIP_RETURN_CODE 77 TIMEOUT 900)
endfunction()

# nagl_test(ROOM/UNIT_test.cpp LABEL label LINK target...): the test executable ROOM_UNIT_test, and the tests
# ROOM/UNIT with the label (unit, app), and ROOM/UNIT.KIND of each kind above.
function(nagl_test source)
  cmake_parse_arguments(arg "" "LABEL" "LINK" ${ARGN})
  cmake_path(GET source STEM unit)
  cmake_path(GET source PARENT_PATH room)
  set(target ${room}_${unit})
  add_executable(${target} ${source})
  target_link_libraries(${target} PRIVATE ${arg_LINK} nagl_test_main)
  # Internal headers, as `nn/linear_kernel.h`.
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests ${PROJECT_SOURCE_DIR}/src)
  target_compile_definitions(${target} PRIVATE NAGL_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
                                               NAGL_EXECUTABLE="$<$<TARGET_EXISTS:nagl>:$<TARGET_FILE:nagl>>")
  nagl_common_options(${target})
  # Tests are short: what is saved by compiling them is more than what they take longer.
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)

  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
  file(STRINGS ${source} tests REGEX "^TEST(_F|_P)?\\(")
  string(REGEX REPLACE "_test$" "" name ${room}/${unit})
  set(plain ${tests})
  set(filter "-")
  foreach(kind IN LISTS nagl_kinds)
    list(FILTER plain EXCLUDE REGEX ", *${kind}")
    string(APPEND filter "*.${kind}*:")
    if(tests MATCHES ", *${kind}")
      string(REPLACE SeveralThreads "${arg_LABEL};threads" label ${kind})
      nagl_ctest(${name}.${kind} ${target} "*.${kind}*" ${label})
      set_tests_properties(${name}.${kind} PROPERTIES PROCESSORS 2 TIMEOUT 2700)
    endif()
  endforeach()
  if(plain AND arg_LABEL STREQUAL app)
    gtest_discover_tests(
      ${target} TEST_PREFIX ${room}/ TEST_FILTER "${filter}" DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
      PROPERTIES LABELS app TIMEOUT 900 ENVIRONMENT OMP_NUM_THREADS=1)
  elseif(plain)
    set(labels ${arg_LABEL})
    if(name IN_LIST NAGL_SMALL_TESTS)
      add_dependencies(readers_and_kernels ${target})
      list(APPEND labels small)
    endif()
    nagl_ctest(${name} ${target} "${filter}" ${labels})
    set_tests_properties(${name} PROPERTIES ENVIRONMENT OMP_NUM_THREADS=1)
  endif()
endfunction()

# nagl_tests(ROOM LABEL label LINK target...): `nagl_test` for each tests/ROOM/*_test.cpp.
function(nagl_tests room)
  file(GLOB sources RELATIVE ${PROJECT_SOURCE_DIR}/tests CONFIGURE_DEPENDS
       ${PROJECT_SOURCE_DIR}/tests/${room}/*_test.cpp)
  foreach(source IN LISTS sources)
    nagl_test(${source} ${ARGN})
  endforeach()
endfunction()
