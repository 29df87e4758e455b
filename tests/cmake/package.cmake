# Every tests/package/<how>/CMakeLists.txt is a project of somebody else's that takes the library in its own way. It is
# configured, built and run apart from our build tree; the package is installed once, before all of them.
set(prefix ${CMAKE_CURRENT_BINARY_DIR}/package/prefix)
add_test(NAME package/install COMMAND ${CMAKE_COMMAND} --install ${PROJECT_BINARY_DIR} --prefix ${prefix})
set_tests_properties(package/install PROPERTIES LABELS package FIXTURES_SETUP installed)

file(GLOB projects CONFIGURE_DEPENDS package/*/CMakeLists.txt)
foreach(project IN LISTS projects)
  cmake_path(GET project PARENT_PATH source)
  cmake_path(GET source FILENAME how)
  set(cuda "")
  if(how STREQUAL "cuda")
    if(NOT TESS_WITH_CUDA)
      continue()
    endif()
    set(cuda -DCMAKE_CUDA_COMPILER=${CMAKE_CUDA_COMPILER} -DCMAKE_CUDA_ARCHITECTURES=90a-real)
  endif()
  add_test(NAME package/${how} COMMAND ${CMAKE_CTEST_COMMAND}
    --build-and-test ${source} ${CMAKE_CURRENT_BINARY_DIR}/package/${how}
    --build-generator ${CMAKE_GENERATOR}
    --build-options -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER} -DCMAKE_CXX_FLAGS=${CMAKE_CXX_FLAGS}
                    -DCMAKE_BUILD_TYPE=${CMAKE_BUILD_TYPE} -DCMAKE_PREFIX_PATH=${prefix}
                    -DTESS_SOURCE_DIR=${PROJECT_SOURCE_DIR} -DFETCHCONTENT_SOURCE_DIR_TESS=${PROJECT_SOURCE_DIR}
                    ${cuda} --no-warn-unused-cli
    --test-command user)
  set_tests_properties(package/${how} PROPERTIES LABELS package FIXTURES_REQUIRED installed TIMEOUT 900)
endforeach()
