# The CUDA simulator: its library, the program of `npm run cudasim`, and the simulator's own tests.
file(GLOB cudasim_sources CONFIGURE_DEPENDS native/cudasim/*.cc native/cudasim/ptx/*.cc native/cudasim/exec/*.cc)
add_library(cudasim_core OBJECT ${cudasim_sources} native/engine/symbol_floor.cc)
target_include_directories(cudasim_core PUBLIC native)
# One processor model for all: vectors of eight, fma and the conversions of float16. AVX-512 is no faster here.
target_compile_options(cudasim_core PUBLIC -march=x86-64-v3)
target_link_libraries(cudasim_core PUBLIC Threads::Threads)

file(GLOB driver_sources CONFIGURE_DEPENDS native/cudasim/driver/*.cc)
# abi_check.cc is compiled against cuda.h where a toolkit has one, and never linked.
list(FILTER driver_sources EXCLUDE REGEX "abi_check")
add_library(cudasim SHARED ${driver_sources})
target_link_libraries(cudasim PRIVATE cudasim_core)
# A few words of state a thread. LeakSanitizer stumbles over the dynamic kind in a library opened by a program.
target_compile_options(cudasim PRIVATE -ftls-model=initial-exec)
# Only the driver API is visible; threads may still run its code when a program closes it.
target_link_options(cudasim PRIVATE -Wl,--version-script=${CMAKE_SOURCE_DIR}/native/cudasim/driver/exports.map
                                    -Wl,-z,nodelete)
# nvcc itself knows best where its headers are: it may be a script elsewhere.
if(WARPLOOM_NVCC)
  execute_process(COMMAND ${WARPLOOM_NVCC} --dryrun -E -x cu /dev/null OUTPUT_QUIET ERROR_VARIABLE nvcc_says)
  if(nvcc_says MATCHES "TOP=([^\n]*)")
    find_path(CUDASIM_CUDA_INCLUDE cuda.h PATHS ${CMAKE_MATCH_1}/include ${CMAKE_MATCH_1}/targets/x86_64-linux/include
              NO_DEFAULT_PATH NO_CACHE)
    find_program(cudasim_ptxas ptxas PATHS ${CMAKE_MATCH_1}/bin NO_DEFAULT_PATH NO_CACHE)
  endif()
endif()
if(CUDASIM_CUDA_INCLUDE)
  add_library(cudasim_abi_check OBJECT native/cudasim/driver/abi_check.cc)
  target_include_directories(cudasim_abi_check PRIVATE native)
  target_include_directories(cudasim_abi_check SYSTEM PRIVATE ${CUDASIM_CUDA_INCLUDE})
endif()
set_target_properties(cudasim PROPERTIES PREFIX "" SUFFIX "" OUTPUT_NAME libcuda.so.1
                                         LIBRARY_OUTPUT_DIRECTORY ${CMAKE_SOURCE_DIR}/build-cudasim)
# The sanitizer builds must not take the one name that programs look for.
if(WARPLOOM_SANITIZE)
  set_target_properties(cudasim PROPERTIES OUTPUT_NAME libcudasim-sanitized.so
                                           LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
endif()

# It opens the library by its path, so it links nothing of it.
add_executable(cudasim_tool native/cudasim/tool/main.cc)
target_include_directories(cudasim_tool PRIVATE native)
target_link_libraries(cudasim_tool PRIVATE ${CMAKE_DL_LIBS})
add_dependencies(cudasim_tool cudasim)

if(WARPLOOM_TESTS)
  # Kernels of the tests are CUDA where nvcc is present; the PTX written by hand runs everywhere.
  file(GLOB cudasim_kernels CONFIGURE_DEPENDS test/native/cudasim/kernels/*.cu)
  file(GLOB cudasim_kernel_parts CONFIGURE_DEPENDS test/native/cudasim/kernels/*.def)
  set(cudasim_ptx)
  if(WARPLOOM_NVCC)
    foreach(kernel ${cudasim_kernels})
      get_filename_component(name ${kernel} NAME_WE)
      # A kernel file x_fast.cu is x.cu with fast mathematics.
      set(fast)
      string(REPLACE "_fast.cu" ".cu" base ${kernel})
      if(name MATCHES "_fast$")
        set(fast -use_fast_math)
      endif()
      set(ptx ${CMAKE_BINARY_DIR}/cudasim-kernels/${name}.ptx)
      add_custom_command(
        OUTPUT ${ptx}
        COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/cudasim-kernels
        COMMAND ${WARPLOOM_NVCC} -ptx -lineinfo -arch=compute_80 ${fast} -o ${ptx} ${kernel}
        DEPENDS ${kernel} ${base} ${cudasim_kernel_parts})
      list(APPEND cudasim_ptx ${ptx})
    endforeach()
  else()
    message(STATUS "no nvcc: the simulator is tested with hand-written PTX only")
  endif()
  add_custom_target(cudasim_kernels DEPENDS ${cudasim_ptx})
  # What the simulator's own tests need, and nothing of the product.
  add_custom_target(cudasim_tests)
  if(TARGET cudasim_abi_check)
    add_dependencies(cudasim_tests cudasim_abi_check)
  endif()
  file(GLOB cudasim_test_sources CONFIGURE_DEPENDS test/native/cudasim/*_test.cc)
  if(WARPLOOM_SANITIZE STREQUAL "thread")
    # The driver's tests only: it has the threads. Kernels of the other programs race and spin on purpose, and simulated threads
    # that run on several threads of the host race there too; to find those is the simulator's own work.
    list(FILTER cudasim_test_sources INCLUDE REGEX "/driver_[^/]*$")
  endif()
  foreach(source ${cudasim_test_sources})
    get_filename_component(name ${source} NAME_WE)
    add_executable(cudasim_${name} ${source})
    add_dependencies(cudasim_tests cudasim_${name})
    add_dependencies(cudasim_${name} cudasim_kernels)
    target_include_directories(cudasim_${name} PRIVATE test)
    target_link_libraries(cudasim_${name} PRIVATE cudasim_core)
    if(name STREQUAL truth_test)
      file(GLOB truth_sources CONFIGURE_DEPENDS test/native/cudasim/truth/*.cc)
      target_sources(cudasim_${name} PRIVATE ${truth_sources})
      set_source_files_properties(${truth_sources} PROPERTIES COMPILE_DEFINITIONS WARPLOOM_CHECK_WITHOUT_MAIN)
      set(longest cudasim_${name})
    endif()
    if(name MATCHES "^driver_")
      # These open the library as its users do.
      add_dependencies(cudasim_${name} cudasim)
      target_link_libraries(cudasim_${name} PRIVATE ${CMAKE_DL_LIBS})
      target_compile_definitions(cudasim_${name} PRIVATE CUDASIM_LIBRARY="$<TARGET_FILE:cudasim>")
    endif()
    if(WARPLOOM_NVCC)
      target_compile_definitions(cudasim_${name} PRIVATE WARPLOOM_SIM_PTX="${CMAKE_BINARY_DIR}/cudasim-kernels")
    endif()
    add_test(NAME cudasim_${name} COMMAND cudasim_${name})
    # The longest takes fifteen seconds of an idle processor; machines that build are seldom idle.
    set_tests_properties(cudasim_${name} PROPERTIES TIMEOUT 900)
    if(cudasim_ptxas)
      # The assembler judges the kernels that the tests write.
      set_tests_properties(cudasim_${name} PROPERTIES ENVIRONMENT CUDASIM_PTXAS=${cudasim_ptxas})
    endif()
  endforeach()
  if(longest)
    # Begun first where several run side by side.
    set_tests_properties(${longest} PROPERTIES COST 100)
  endif()
  # Figures on request: make cudasim_bench.
  if(WARPLOOM_NVCC)
    add_executable(cudasim_bench EXCLUDE_FROM_ALL test/native/cudasim/bench.cc)
    add_dependencies(cudasim_bench cudasim_kernels)
    target_include_directories(cudasim_bench PRIVATE test)
    target_link_libraries(cudasim_bench PRIVATE cudasim_core)
    target_compile_definitions(cudasim_bench PRIVATE WARPLOOM_SIM_PTX="${CMAKE_BINARY_DIR}/cudasim-kernels")
  endif()
endif()
