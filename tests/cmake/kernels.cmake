# cuda/kernels.sm_<architecture>: all kernels of Grok-1 compile without a warning, spill nothing, and keep to their registers.
if(TESS_WITH_CUDA AND TESS_BUILD_EXAMPLES)
  set(architectures 80 90a)
  if(NOT CUDAToolkit_VERSION VERSION_LESS 12.8)  # B200
    list(APPEND architectures 100)
  endif()
  foreach(architecture IN LISTS architectures)
    add_test(NAME cuda/kernels.sm_${architecture}
      COMMAND ${Python3_EXECUTABLE} -B ${tools}/kernel_budget.py --nvcc ${CMAKE_CUDA_COMPILER} --arch ${architecture}
              --budget ${CMAKE_CURRENT_SOURCE_DIR}/cuda/kernel_budget.txt
              -I ${PROJECT_SOURCE_DIR}/include -I ${PROJECT_SOURCE_DIR}/examples
              ${CMAKE_CURRENT_SOURCE_DIR}/cuda/grok1_kernels.cu)
    set_tests_properties(cuda/kernels.sm_${architecture} PROPERTIES LABELS cuda TIMEOUT 900)
  endforeach()
endif()

# cuda/compiles/<test>: nvcc takes the tests whose kernels Grok-1 does not use, as far as PTX, which is quick. scripts/gpu-check
# builds all of them where there is a GPU.
if(TESS_WITH_CUDA AND TESS_BUILD_EXAMPLES)
  set(sources ${cuda_sources})
  list(FILTER sources INCLUDE REGEX "/(attention|functors|product_verbs|sampler|structure)_test")
  foreach(source IN LISTS sources)
    cmake_path(GET source STEM name)
    add_test(NAME cuda/compiles/${name}
      COMMAND ${CMAKE_CUDA_COMPILER} -std=c++20 -O1 --expt-relaxed-constexpr -gencode arch=compute_90a,code=sm_90a
              -I ${PROJECT_SOURCE_DIR}/include -I ${PROJECT_SOURCE_DIR}/examples -I ${CMAKE_CURRENT_SOURCE_DIR}
              -DTESS_ON_GPU=1 "-DTESS_SOURCE_DIR=\"\"" "-DTESS_TEST_DATA=\"\"" "-DTESS_HF_DATA=\"\"" "-DTESS_SHARDING_DATA=\"\""
              -x cu -ptx ${source} -o ${CMAKE_CURRENT_BINARY_DIR}/${name}.ptx)
    set_tests_properties(cuda/compiles/${name} PROPERTIES LABELS cuda TIMEOUT 300)
  endforeach()
endif()
