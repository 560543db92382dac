# The target `docs`: the API reference of include/nagl as HTML, with docs/api.md as its first page. Only
# where Doxygen is found; it is no part of `all`. Doxygen's warnings are shown.

find_package(Doxygen QUIET)
if(NOT DOXYGEN_FOUND)
  return()
endif()

set(NAGL_DOCS_DIR ${PROJECT_BINARY_DIR}/docs)
configure_file(${PROJECT_SOURCE_DIR}/docs/Doxyfile.in ${NAGL_DOCS_DIR}/Doxyfile @ONLY)
add_custom_target(
  docs
  COMMAND Doxygen::doxygen ${NAGL_DOCS_DIR}/Doxyfile
  COMMAND ${CMAKE_COMMAND} -E echo "API reference: ${NAGL_DOCS_DIR}/html/index.html"
  WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
  VERBATIM)
