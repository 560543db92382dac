# Header-only libraries and GoogleTest from a folder, where no packages are installed:
# NAGL_HEADERS/{CLI,fmt,nlohmann,spdlog} and, for the tests, NAGL_HEADERS/googletest with its sources.
# `scripts/gpu_bundle.py` makes such a folder.

function(nagl_header_library name)
  cmake_parse_arguments(arg "" "" "DEFINITIONS" ${ARGN})
  add_library(${name} INTERFACE IMPORTED GLOBAL)
  # Before what is installed, and before Torch's folder, which has headers of fmt of its own.
  target_include_directories(${name} SYSTEM INTERFACE ${NAGL_HEADERS})
  target_compile_definitions(${name} INTERFACE ${arg_DEFINITIONS})
endfunction()

foreach(header IN ITEMS CLI/CLI.hpp fmt/format.h nlohmann/json.hpp spdlog/spdlog.h)
  if(NOT EXISTS ${NAGL_HEADERS}/${header})
    message(FATAL_ERROR "NAGL_HEADERS: '${NAGL_HEADERS}' holds no ${header}")
  endif()
endforeach()
nagl_header_library(CLI11::CLI11)
nagl_header_library(nlohmann_json::nlohmann_json)
nagl_header_library(spdlog::spdlog_header_only DEFINITIONS SPDLOG_FMT_EXTERNAL FMT_HEADER_ONLY)
if(NAGL_TESTS)
  add_subdirectory(${NAGL_HEADERS}/googletest ${PROJECT_BINARY_DIR}/googletest EXCLUDE_FROM_ALL)
endif()
