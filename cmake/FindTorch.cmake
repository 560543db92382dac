# Finds LibTorch and makes the imported target Torch::Torch. Works with the `torch` wheel of a
# virtual environment and with an unpacked libtorch alike, and needs no CUDA toolkit.
#
# An older Torch than the minimum is refused: it lacks products of float16 with float32 results
# (`mm.dtype`), and wheels before 2.7 are of another ABI of the C++ library than the compiler's.
#
# NAGL_TORCH_DIR (cache or environment): the folder that holds include/ and lib/. Without it the
#                project's own .venv is searched.
# NAGL_CUDA:     also link libtorch_cuda and libc10_cuda.
#
# Torch::CudaHeaders has the include folder of the CUDA runtime, where there is one: beside the wheel
# (its own dependency), or an installed toolkit.

if(NOT NAGL_TORCH_DIR AND DEFINED ENV{NAGL_TORCH_DIR})
  set(NAGL_TORCH_DIR $ENV{NAGL_TORCH_DIR})
endif()
if(NOT NAGL_TORCH_DIR)
  file(GLOB NAGL_TORCH_DIR ${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch)
endif()
set(NAGL_TORCH_DIR "${NAGL_TORCH_DIR}" CACHE PATH "Folder of Torch that holds include/ and lib/")

set(torch_parts c10 torch_cpu)
if(NAGL_CUDA)
  list(APPEND torch_parts c10_cuda torch_cuda)
endif()
set(torch_required)
foreach(part IN LISTS torch_parts)
  find_library(TORCH_${part}_LIBRARY ${part} PATHS ${NAGL_TORCH_DIR}/lib NO_DEFAULT_PATH)
  list(APPEND torch_required TORCH_${part}_LIBRARY)
endforeach()
find_path(TORCH_INCLUDE_DIR torch/csrc/api/include/torch/torch.h
          PATHS ${NAGL_TORCH_DIR}/include NO_DEFAULT_PATH)
if(TORCH_INCLUDE_DIR)
  file(STRINGS ${TORCH_INCLUDE_DIR}/torch/csrc/api/include/torch/version.h torch_version
       REGEX "#define TORCH_VERSION_(MAJOR|MINOR|PATCH) ")
  if(NOT torch_version)
    file(STRINGS ${TORCH_INCLUDE_DIR}/torch/headeronly/version.h torch_version
         REGEX "#define TORCH_VERSION_(MAJOR|MINOR|PATCH) ")
  endif()
  string(REGEX MATCHALL "[0-9]+" torch_version "${torch_version}")
  list(JOIN torch_version "." Torch_VERSION)
endif()

# Wheels of CUDA 13 keep all in one folder, those of CUDA 12 one a part. The runtime's headers include
# crt/, which has a wheel of its own.
file(GLOB wheel_cuda ${NAGL_TORCH_DIR}/../nvidia/cu[0-9]*/include
     ${NAGL_TORCH_DIR}/../nvidia/cuda_runtime/include ${NAGL_TORCH_DIR}/../nvidia/cuda_nvcc/include)
find_path(TORCH_CUDA_INCLUDE_DIR cuda_runtime_api.h
          PATHS ${wheel_cuda} /usr/local/cuda/include NO_DEFAULT_PATH)
find_path(TORCH_CUDA_CRT_INCLUDE_DIR crt/host_config.h
          PATHS ${wheel_cuda} /usr/local/cuda/include NO_DEFAULT_PATH)
if(NAGL_CUDA)
  list(APPEND torch_required TORCH_CUDA_INCLUDE_DIR TORCH_CUDA_CRT_INCLUDE_DIR)
endif()

set(torch_minimum 2.8.0)
set(torch_tested 2.11.0)
if(NOT Torch_FIND_VERSION OR Torch_FIND_VERSION VERSION_LESS torch_minimum)
  set(Torch_FIND_VERSION ${torch_minimum})
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  Torch REQUIRED_VARS ${torch_required} TORCH_INCLUDE_DIR VERSION_VAR Torch_VERSION
  REASON_FAILURE_MESSAGE "run scripts/setup.sh, or set NAGL_TORCH_DIR to a Torch folder")

if(Torch_FOUND AND NOT Torch_FIND_QUIETLY)
  if(Torch_VERSION VERSION_EQUAL torch_tested)
    message(STATUS "Torch ${Torch_VERSION} (tested)")
  elseif(Torch_VERSION VERSION_GREATER torch_tested)
    message(STATUS "Torch ${Torch_VERSION} (newer than the tested ${torch_tested})")
  else()
    message(STATUS "Torch ${Torch_VERSION} (older than the tested ${torch_tested})")
  endif()
endif()

if(TORCH_CUDA_INCLUDE_DIR AND TORCH_CUDA_CRT_INCLUDE_DIR AND NOT TARGET Torch::CudaHeaders)
  add_library(Torch::CudaHeaders INTERFACE IMPORTED)
  target_include_directories(Torch::CudaHeaders SYSTEM INTERFACE ${TORCH_CUDA_INCLUDE_DIR}
                                                                 ${TORCH_CUDA_CRT_INCLUDE_DIR})
endif()

if(Torch_FOUND AND NOT TARGET Torch::Torch)
  add_library(Torch::Torch INTERFACE IMPORTED)
  # -idirafter: the wheel carries headers of fmt, protobuf and others of its own, which must not
  # hide those of the system.
  target_compile_options(
    Torch::Torch INTERFACE "SHELL:-idirafter ${TORCH_INCLUDE_DIR}"
                           "SHELL:-idirafter ${TORCH_INCLUDE_DIR}/torch/csrc/api/include")
  # at::parallel_for is OpenMP code in a header: without the flag it runs on one thread.
  target_compile_options(Torch::Torch INTERFACE -fopenmp)
  target_link_options(Torch::Torch INTERFACE -fopenmp)
  foreach(part IN LISTS torch_parts)
    add_library(Torch::${part} SHARED IMPORTED)
    set_target_properties(Torch::${part} PROPERTIES IMPORTED_LOCATION ${TORCH_${part}_LIBRARY})
  endforeach()
  target_link_libraries(Torch::Torch INTERFACE Torch::torch_cpu Torch::c10)
  if(NAGL_CUDA)
    # Nothing refers to them by symbol; without the flag the linker drops them and CUDA is off.
    target_link_libraries(
      Torch::Torch INTERFACE -Wl,--push-state,--no-as-needed ${TORCH_torch_cuda_LIBRARY}
                             ${TORCH_c10_cuda_LIBRARY} -Wl,--pop-state)
  endif()
endif()
