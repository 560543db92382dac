# For builds by pip: Torch is that of the environment which nagl is installed into, so it is no build
# requirement (which would be downloaded anew, and be another one), and pip's isolation hides it. Sets
# NAGL_TORCH_DIR and, where nobody said, NAGL_CUDA.
find_package(Python 3.9 REQUIRED COMPONENTS Interpreter)

if(NOT NAGL_TORCH_DIR AND DEFINED ENV{NAGL_TORCH_DIR})
  set(NAGL_TORCH_DIR $ENV{NAGL_TORCH_DIR})
endif()
if(NOT NAGL_TORCH_DIR)
  # The interpreter's own folders, and those of the environment that is active where the build has one of its own.
  execute_process(
    COMMAND
      ${Python_EXECUTABLE} -c
      "import os, site, sysconfig
folders = [sysconfig.get_path('platlib'), sysconfig.get_path('purelib'), site.getusersitepackages()]
active = os.environ.get('VIRTUAL_ENV')
if active:
    of_it = {'base': active, 'platbase': active}
    folders.append(sysconfig.get_path('platlib', 'venv' if 'venv' in sysconfig.get_scheme_names() else None, of_it))
print(';'.join(folders))"
    OUTPUT_VARIABLE site_folders OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  foreach(folder IN LISTS site_folders)
    if(EXISTS ${folder}/torch/lib/libtorch_cpu.so)
      set(NAGL_TORCH_DIR ${folder}/torch)
      break()
    endif()
  endforeach()
endif()
if(NOT NAGL_TORCH_DIR)
  message(FATAL_ERROR "nagl is built against the Torch of your environment, and there is none in ${site_folders}: "
                      "pip install torch==2.11.0 first, or set NAGL_TORCH_DIR to a Torch folder")
endif()

# As scripts/setup.sh decides it: with a driver, CUDA is linked.
if(NOT DEFINED NAGL_CUDA AND EXISTS /proc/driver/nvidia/version AND EXISTS ${NAGL_TORCH_DIR}/lib/libtorch_cuda.so)
  file(GLOB cuda_headers ${NAGL_TORCH_DIR}/../nvidia/*/include/crt/host_config.h
       /usr/local/cuda/include/crt/host_config.h)
  if(cuda_headers)
    set(NAGL_CUDA ON CACHE BOOL "Link the CUDA part of Torch")
  else()
    message(WARNING "nagl will not use the GPU, since headers of CUDA are missing: "
                    "pip install nvidia-cuda-crt==13.0.88, then install nagl again")
  endif()
endif()
