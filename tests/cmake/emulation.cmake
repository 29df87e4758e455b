# Kernels on a CPU: emulation/include is the CUDA runtime that they see here, so that g++ compiles them and tests run them.
#   test_emulation     the emulator itself
#   test_cuda_asan     device/cuda/**/*_test.cpp with address and undefined-behaviour sanitizers
#   test_cuda_tsan     those of them whose threads work together, with the thread sanitizer
#   test_cuda          those that run whole models, without
#   tess_cuda_headers  all headers for GPUs, twice, without the others
#   planted            mistakes that the emulator and the sanitizers have to find, and the same without the mistake
# Tests also run with queued work done late and threads in the other order: late/….
option(TESS_SANITIZE_KERNELS "Build all tests of kernels plain and with both sanitizers, not each as it needs" OFF)

add_library(tess_emulation INTERFACE)
target_include_directories(tess_emulation BEFORE INTERFACE ${CMAKE_CURRENT_SOURCE_DIR}/emulation/include
                           ${PROJECT_SOURCE_DIR}/examples)  # the models and engines that tests run
target_compile_options(tess_emulation INTERFACE -Wno-unknown-pragmas)  # unroll

# add_emulated_tests(target prefix environment labels source…): an executable, and a ctest entry a file.
function(add_emulated_tests target prefix environment labels)
  if(NOT TARGET ${target})
    add_executable(${target} ${ARGN})
    target_link_libraries(${target} PRIVATE tess_emulation tess_test_main)
  endif()
  foreach(source IN LISTS ARGN)
    file(RELATIVE_PATH name ${CMAKE_CURRENT_SOURCE_DIR} ${source})
    string(REGEX REPLACE "_test\\.cpp$" "" test ${name})
    add_test(NAME ${prefix}${test} COMMAND ${target} --source-file=*/tests/${name})
    set_tests_properties(${prefix}${test} PROPERTIES LABELS "${labels}" TIMEOUT 900 ENVIRONMENT "${environment}"
      FAIL_REGULAR_EXPRESSION "test cases: +0 ")
  endforeach()
endfunction()

if(CMAKE_CXX_FLAGS MATCHES "-fsanitize")
  set(sanitizers "")  # everything has one
else()
  set(sanitizers asan tsan)
endif()
set(flags_asan -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
set(flags_tsan -fsanitize=thread -fno-omit-frame-pointer)

file(GLOB emulation_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/emulation/*_test.cpp)
add_emulated_tests(test_emulation "" "" emulation ${emulation_sources})
add_emulated_tests(test_emulation "late/" "TESS_EMULATION=lazy reversed" emulation ${emulation_sources})

file(GLOB_RECURSE cuda_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/device/cuda/*_test.cpp)
set(plain_sources ${cuda_sources})
list(FILTER plain_sources INCLUDE REGEX "/(golden_|hf_models|engine|runner|replay|program|processes|custom_verb|load|upload|gather_weights)")
set(asan_sources ${cuda_sources})
list(REMOVE_ITEM asan_sources ${plain_sources})
set(tsan_sources ${asan_sources})
list(FILTER tsan_sources INCLUDE REGEX "/(attention|stream_product|tile_product|routing|rows)_test")
if(TESS_SANITIZE_KERNELS OR NOT sanitizers)
  set(plain_sources ${cuda_sources})
  set(asan_sources ${cuda_sources})
  set(tsan_sources ${cuda_sources})
endif()
if(plain_sources)
  add_emulated_tests(test_cuda "" "" "cuda;emulation" ${plain_sources})
endif()
foreach(sanitizer IN LISTS sanitizers)
  if(${sanitizer}_sources)
    add_emulated_tests(test_cuda_${sanitizer} "${sanitizer}/" "" "cuda;emulation" ${${sanitizer}_sources})
    target_compile_options(test_cuda_${sanitizer} PRIVATE ${flags_${sanitizer}})
    target_link_options(test_cuda_${sanitizer} PRIVATE ${flags_${sanitizer}})
  endif()
endforeach()
if(TARGET test_cuda_asan)
  set(late_sources ${asan_sources})  # isa_hopper_test plants mistakes: what is thrown late leaves its copies queued
  list(FILTER late_sources EXCLUDE REGEX "/isa_hopper_test")
  add_emulated_tests(test_cuda_asan "late/" "TESS_EMULATION=lazy reversed" "cuda;emulation" ${late_sources})
endif()

# All headers for GPUs in one unit, each twice, in the order of their names: each includes what it needs.
set(text "")
foreach(header IN LISTS cuda_headers)
  string(APPEND text "#include <${header}>\n#include <${header}>\n")
endforeach()
set(source ${CMAKE_CURRENT_BINARY_DIR}/headers/cuda_headers.cpp)
file(CONFIGURE OUTPUT ${source} CONTENT "${text}")
add_compiled_test(cuda_headers ${source})
target_link_libraries(tess_cuda_headers PRIVATE tess_emulation)

# ---- what is planted is found
add_executable(planted emulation/planted.cpp)
target_link_libraries(planted PRIVATE tess_emulation tess_strict)
# add_planted(program fault what-is-found)
function(add_planted program fault found)
  add_test(NAME emulation/planted/${fault} COMMAND ${program} ${fault} planted)
  add_test(NAME emulation/mended/${fault} COMMAND ${program} ${fault} mended)
  set_tests_properties(emulation/planted/${fault} PROPERTIES LABELS emulation PASS_REGULAR_EXPRESSION "${found}" TIMEOUT 300)
  set_tests_properties(emulation/mended/${fault} PROPERTIES LABELS emulation TIMEOUT 300)
endfunction()
add_planted(planted deadlock "deadlock: 31 threads .0 … 31. wait at __syncwarp, thread 3 waits at __syncthreads")
add_planted(planted divergence "thread .1, 0, 0.: is at __syncwarp while thread 0 waits at __shfl_sync")
add_planted(planted missing_wait_for_copies "64 of 64 results are NaN")
add_planted(planted flag_that_never_comes "wait_for_flag.*, block .0, 0, 0.: deadlock: 64 threads .0 … 63. wait for a flag")
add_planted(planted host_pointer "argument 1 points to memory that is neither of a GPU nor pinned")
add_planted(planted margin_of_shared_memory "wrote beyond the block's shared memory")
add_planted(planted overlap_without_wait "ended without wait_for_previous_kernel")

foreach(sanitizer IN LISTS sanitizers)
  add_executable(planted_${sanitizer} emulation/planted.cpp)
  target_link_libraries(planted_${sanitizer} PRIVATE tess_emulation tess_strict)
  target_compile_options(planted_${sanitizer} PRIVATE ${flags_${sanitizer}})
  target_link_options(planted_${sanitizer} PRIVATE ${flags_${sanitizer}})
endforeach()
if(NOT sanitizers)
  return()
endif()
add_planted(planted_asan shared_memory_overrun "heap-buffer-overflow")
add_planted(planted_asan global_memory_overrun "heap-buffer-overflow")
add_planted(planted_asan misaligned_load "misaligned address")
add_planted(planted_tsan missing_syncthreads "data race.*missing_syncthreads")
add_planted(planted_tsan second_syncthreads "data race.*second_syncthreads")
add_planted(planted_tsan missing_syncwarp "data race.*missing_syncwarp")
add_planted(planted_tsan copies_of_others "data race.*copies_of_others")
add_planted(planted_tsan blocks_add "data race.*blocks_add")
add_planted(planted_tsan missing_threadfence "data race.*missing_threadfence")
add_planted(planted_tsan missing_event "data race.*read_all")
add_planted(planted_tsan host_does_not_wait "data race.*host_does_not_wait")
add_planted(planted_tsan overlap_reads_early "data race.*overlap")
