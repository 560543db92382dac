# Run by `cmake --install`: writes what completes nagl's options where bash, zsh and fish look for it.
#
# nagl_executable: the command, as it was built
# nagl_scratch:    a folder of the build for the files on their way

cmake_policy(VERSION 3.25)

foreach(shell_file IN ITEMS bash:bash-completion/completions/nagl zsh:zsh/vendor-completions/_nagl
                            fish:fish/vendor_completions.d/nagl.fish)
  string(REGEX MATCH "^([a-z]+):(.*)$" shell_file ${shell_file})
  cmake_path(SET file NORMALIZE ${nagl_scratch}/${CMAKE_MATCH_2})
  cmake_path(GET CMAKE_MATCH_2 PARENT_PATH folder)
  file(MAKE_DIRECTORY ${nagl_scratch}/${folder})
  execute_process(COMMAND ${nagl_executable} completion ${CMAKE_MATCH_1} OUTPUT_FILE ${file}
                  COMMAND_ERROR_IS_FATAL ANY)
  file(INSTALL ${file} DESTINATION ${CMAKE_INSTALL_PREFIX}/share/${folder})
endforeach()
