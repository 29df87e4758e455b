# Every tests/fuzz/fuzz_<name>.cpp is built with clang++'s libFuzzer and address sanitizer, whatever compiles the rest,
# and runs on a copy of tests/fuzz/corpus/<name>/ for TESS_FUZZ_SECONDS (environment; 5 when unset).
file(GLOB fuzzers CONFIGURE_DEPENDS fuzz/fuzz_*.cpp)
if(fuzzers AND NOT TESS_CLANGXX)
  message(STATUS "no clang++: the fuzzers are not built")
  set(fuzzers "")
endif()
file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/fuzz)
foreach(source IN LISTS fuzzers)
  cmake_path(GET source STEM target)
  string(REGEX REPLACE "^fuzz_" "" name ${target})
  set(program ${CMAKE_CURRENT_BINARY_DIR}/fuzz/${name})
  add_custom_command(
    OUTPUT ${program}
    COMMAND ${TESS_CLANGXX} -std=c++20 -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined
            -pthread -I ${PROJECT_SOURCE_DIR}/include ${source} -o ${program} -MMD -MF ${program}.d -MQ ${program}
    DEPENDS ${source} DEPFILE ${program}.d
    COMMENT "Building fuzzer ${target}" VERBATIM)
  add_custom_target(${target} ALL DEPENDS ${program})
  add_test(NAME fuzz/${name} COMMAND ${CMAKE_COMMAND} -D PROGRAM=${program} -D CORPUS=${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/${name}
                                     -P ${CMAKE_CURRENT_LIST_DIR}/run_fuzzer.cmake)
  set_tests_properties(fuzz/${name} PROPERTIES LABELS fuzz TIMEOUT 0 COST 1000)  # the longest: first
endforeach()
