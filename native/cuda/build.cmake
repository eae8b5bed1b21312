# The device code. One .cu a family; no CUDA language of CMake's, so that configuring works without a toolkit and nothing links cudart.
#   cuda_ptx       PTX of compute_80 with line numbers, for the simulator: half a second a file
#   cuda_release   what the package ships: a fatbin with a cubin for each architecture, and PTX without line numbers (they hold paths)
file(GLOB cuda_kernels CONFIGURE_DEPENDS native/cuda/kernels/*.cu)
set(WARPLOOM_CUDA_ARCHS "80;86;89;90;100;120" CACHE STRING "Architectures of the shipped cubins")
set(nvcc_flags -std=c++17 -O3 -fmad=false -Werror all-warnings -I${CMAKE_SOURCE_DIR}/native
               -I${CMAKE_SOURCE_DIR}/native/cuda/kernels)
get_filename_component(nvcc_folder ${WARPLOOM_NVCC} DIRECTORY)
find_program(WARPLOOM_PTXAS ptxas HINTS ${nvcc_folder} NO_CACHE)
set(gencode)
foreach(arch ${WARPLOOM_CUDA_ARCHS})
  list(APPEND gencode -gencode=arch=compute_${arch},code=sm_${arch})
endforeach()

set(test_folder ${CMAKE_BINARY_DIR}/kernels)
set(release_folder ${CMAKE_BINARY_DIR}/kernels-release)
file(MAKE_DIRECTORY ${test_folder} ${release_folder})
set(test_ptx)
set(release_files)
foreach(kernel ${cuda_kernels})
  get_filename_component(family ${kernel} NAME_WE)
  # Drivers refuse PTX of a version newer than their own; the code uses nothing newer than 8.0, and ptxas proves it.
  add_custom_command(
    OUTPUT ${test_folder}/${family}.ptx
    COMMAND ${WARPLOOM_NVCC} -ptx -lineinfo -arch=compute_80 ${nvcc_flags} -MD -MF ${test_folder}/${family}.d
            -o ${test_folder}/${family}.ptx ${kernel}
    COMMAND ${CMAKE_COMMAND} -DFILE=${test_folder}/${family}.ptx -P ${CMAKE_SOURCE_DIR}/native/cuda/lower_ptx.cmake
    DEPENDS ${kernel} native/cuda/lower_ptx.cmake
    DEPFILE ${test_folder}/${family}.d)
  list(APPEND test_ptx ${test_folder}/${family}.ptx)
  add_custom_command(
    OUTPUT ${release_folder}/${family}.ptx
    COMMAND ${WARPLOOM_NVCC} -ptx -arch=compute_80 ${nvcc_flags} -MD -MF ${release_folder}/${family}.d
            -o ${release_folder}/${family}.ptx ${kernel}
    COMMAND ${CMAKE_COMMAND} -DFILE=${release_folder}/${family}.ptx -DCOMMENTS=OFF
            -P ${CMAKE_SOURCE_DIR}/native/cuda/lower_ptx.cmake
    COMMAND ${WARPLOOM_PTXAS} -arch=sm_80 -o ${release_folder}/${family}.proof ${release_folder}/${family}.ptx
    DEPENDS ${kernel} native/cuda/lower_ptx.cmake
    DEPFILE ${release_folder}/${family}.d)
  add_custom_command(
    OUTPUT ${release_folder}/${family}.fatbin
    COMMAND ${CMAKE_COMMAND} -P ${CMAKE_SOURCE_DIR}/native/cuda/fatbin.cmake -- ${release_folder}/${family}.ptxas
            ${WARPLOOM_NVCC} -fatbin ${gencode} --compress-mode=size -Xptxas -v,--warn-on-spills,-Werror ${nvcc_flags} -MD -MF
            ${release_folder}/${family}.fatbin.d -o ${release_folder}/${family}.fatbin ${kernel}
    DEPENDS ${kernel} native/cuda/fatbin.cmake
    DEPFILE ${release_folder}/${family}.fatbin.d)
  list(APPEND release_files ${release_folder}/${family}.ptx ${release_folder}/${family}.fatbin)
endforeach()
add_custom_target(cuda_ptx DEPENDS ${test_ptx})
add_custom_target(cuda_release DEPENDS ${release_files})

execute_process(COMMAND ${WARPLOOM_NVCC} --dryrun -E -x cu /dev/null OUTPUT_QUIET ERROR_VARIABLE nvcc_says)
if(nvcc_says MATCHES "TOP=([^\n]*)")
  find_path(WARPLOOM_CUDA_INCLUDE cuda.h PATHS ${CMAKE_MATCH_1}/include ${CMAKE_MATCH_1}/targets/x86_64-linux/include
            NO_DEFAULT_PATH NO_CACHE)
endif()
if(WARPLOOM_CUDA_INCLUDE)
  add_library(cuda_abi_check OBJECT native/cuda/abi_check.cc)
  target_include_directories(cuda_abi_check PRIVATE native)
  target_include_directories(cuda_abi_check SYSTEM PRIVATE ${WARPLOOM_CUDA_INCLUDE})
endif()
