# TORCH_HAS_BLOCK_PRODUCT (cache): whether Torch has the block products that src/nn/brgemm names. They
# stand in a header of its own making, so a later one may lack them; OFF builds without.
include(CheckCXXSourceCompiles)

set(CMAKE_REQUIRED_LIBRARIES Torch::Torch)
if(NAGL_HEADERS)  # Torch's headers take theirs of fmt from there
  list(APPEND CMAKE_REQUIRED_LIBRARIES spdlog::spdlog_header_only)
endif()
check_cxx_source_compiles(
  "#include <ATen/native/CPUBlas.h>
   int main() {
     const float one = 1;
     float result = 0;
     at::native::cpublas::brgemm(1, 1, 1, 1, 1, 1, false, &one, &one, &result);
     at::native::cpublas::brgemm_release(false);
   }"
  TORCH_HAS_BLOCK_PRODUCT)
unset(CMAKE_REQUIRED_LIBRARIES)
if(NOT TORCH_HAS_BLOCK_PRODUCT)
  message(STATUS "Built without block products (see CMakeFiles/CMakeError.log): slower in float32")
endif()
