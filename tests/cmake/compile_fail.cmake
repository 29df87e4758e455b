# For every tests/compile_fail/*.cpp and each of g++, clang++ and nvcc that is here, two tests (of nvcc the first only)
# without a target, so that they run in parallel under `ctest -j`:
#   compile_fail/<name>.<compiler>   with -DMUST_NOT_COMPILE it fails, and says what the file expects
#   compile_ok/<name>.<compiler>     without it, it compiles: the case fails for the reason it states and no other
# The rules of these files: tests/tools/compile_fail.py.
find_program(TESS_GXX NAMES g++ DOC "the g++ that the compile-fail tests run under")
find_program(TESS_CLANGXX NAMES clang++ DOC "the clang++ that the compile-fail tests and the fuzzers are built with")
set(gnu ${TESS_GXX})
set(nvcc ${TESS_NVCC})
set(clang ${TESS_CLANGXX})
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(gnu ${CMAKE_CXX_COMPILER})
elseif(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  set(clang ${CMAKE_CXX_COMPILER})
endif()

file(GLOB cases CONFIGURE_DEPENDS compile_fail/*.cpp)
foreach(case IN LISTS cases)
  cmake_path(GET case STEM name)
  foreach(compiler gnu clang nvcc)
    if(NOT ${compiler})
      continue()
    endif()
    foreach(mode fail ok)
      if(compiler STREQUAL "nvcc" AND mode STREQUAL "ok")
        continue()
      endif()
      set(test compile_${mode}/${name}.${compiler})
      add_test(NAME ${test} COMMAND ${Python3_EXECUTABLE} -B ${tools}/compile_fail.py ${mode} ${case} ${${compiler}}
                                    -I ${PROJECT_SOURCE_DIR}/include)
      set_tests_properties(${test} PROPERTIES LABELS compile_fail TIMEOUT 300)
    endforeach()
  endforeach()
endforeach()

if(cases AND gnu)
  add_test(NAME errors_md COMMAND ${Python3_EXECUTABLE} -B ${tools}/make_errors_md.py --check --compiler ${gnu})
  set_tests_properties(errors_md PROPERTIES LABELS compile_fail SKIP_RETURN_CODE 77 TIMEOUT 600)
endif()
