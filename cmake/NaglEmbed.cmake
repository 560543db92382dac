# nagl_embed(TARGET FILES file...): each file's contents as a constant of TARGET's sources, whatever is
# in it. `assets/score_report.css` becomes, in `embedded/score_report.css.h`,
#   namespace nagl::embedded { inline constexpr std::string_view kScoreReportCss{...}; }
# Written by the configure step, which a change of the file starts again.
function(nagl_embed target)
  cmake_parse_arguments(arg "" "" "FILES" ${ARGN})
  set(folder ${PROJECT_BINARY_DIR}/generated)
  foreach(file IN LISTS arg_FILES)
    cmake_path(ABSOLUTE_PATH file BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
    cmake_path(GET file FILENAME name)
    string(REGEX MATCHALL "[A-Za-z0-9]+" words ${name})
    set(constant k)
    foreach(word IN LISTS words)
      string(SUBSTRING ${word} 0 1 first)
      string(SUBSTRING ${word} 1 -1 rest)
      string(TOUPPER ${first} first)
      string(APPEND constant ${first}${rest})
    endforeach()
    file(READ ${file} bytes HEX)
    string(LENGTH "${bytes}" size)
    math(EXPR size "${size} / 2")
    string(REGEX REPLACE "(..)" "\\\\x\\1" bytes "${bytes}")
    string(REPEAT "....." 4 quarter)  # a line has 20 bytes, of four characters each
    string(REGEX REPLACE "(${quarter}${quarter}${quarter}${quarter})" "\\1\"\n    \"" bytes "${bytes}")
    file(CONFIGURE OUTPUT ${folder}/embedded/${name}.h CONTENT [[
// Made of @name@ by the configure step.
#pragma once

#include <string_view>

namespace nagl::embedded {

inline constexpr std::string_view @constant@{
    "@bytes@",
    @size@};

}  // namespace nagl::embedded
]] @ONLY)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  endforeach()
  target_include_directories(${target} PRIVATE ${folder})
endfunction()
