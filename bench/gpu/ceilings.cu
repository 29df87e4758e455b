// The ceilings: a copy in GPU memory, and a large product of cuBLAS.
// SPDX-License-Identifier: Apache-2.0
#include <cublasLt.h>

#include "measure.hpp"
#include "random.hpp"

namespace bench {

namespace {
double copy_rate(cuda::Gpu& gpu) {
  constexpr index_t bytes = index_t{1} << 30;
  const auto from = gpu.memory().take(bytes), to = gpu.memory().take(bytes);
  fill_random(gpu, static_cast<bf16*>(from.get()), bytes / 2, 1);
  return 2.0 * bytes / seconds(gpu, 20, [&] {
           cuda::check(cudaMemcpyAsync(to.get(), from.get(), bytes, cudaMemcpyDeviceToDevice, gpu.stream()), "a copy");
         });
}

void check_cublas(cublasStatus_t status) {
  if (status != CUBLAS_STATUS_SUCCESS) fail("[bench] cuBLASLt failed: ", static_cast<int>(status));
}

double product_rate(cuda::Gpu& gpu) {
  constexpr index_t n = 8192, workspace = index_t{32} << 20;
  const auto a = gpu.scratch<bf16>(n * n), b = gpu.scratch<bf16>(n * n), c = gpu.scratch<bf16>(n * n);
  const auto space = gpu.scratch<std::byte>(workspace);
  fill_random(gpu, a.get(), n * n, 2);
  fill_random(gpu, b.get(), n * n, 3);
  cublasLtHandle_t handle = nullptr;
  cublasLtMatmulDesc_t product = nullptr;
  cublasLtMatrixLayout_t matrix = nullptr;
  cublasLtMatmulPreference_t preference = nullptr;
  check_cublas(cublasLtCreate(&handle));
  check_cublas(cublasLtMatmulDescCreate(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F));
  check_cublas(cublasLtMatrixLayoutCreate(&matrix, CUDA_R_16BF, n, n, n));
  check_cublas(cublasLtMatmulPreferenceCreate(&preference));
  const std::size_t most = workspace;
  check_cublas(
      cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &most, sizeof(most)));
  cublasLtMatmulHeuristicResult_t best{};
  int found = 0;
  check_cublas(
      cublasLtMatmulAlgoGetHeuristic(handle, product, matrix, matrix, matrix, matrix, preference, 1, &best, &found));
  if (found == 0) fail("[bench] cuBLASLt has no algorithm for a square bf16 product");
  const float one = 1, zero = 0;
  const double time = seconds(gpu, 20, [&] {
    check_cublas(cublasLtMatmul(handle, product, &one, a.get(), matrix, b.get(), matrix, &zero, c.get(), matrix,
                                c.get(), matrix, &best.algo, space.get(), most, gpu.stream()));
  });
  (void)cublasLtMatmulPreferenceDestroy(preference);
  (void)cublasLtMatrixLayoutDestroy(matrix);
  (void)cublasLtMatmulDescDestroy(product);
  (void)cublasLtDestroy(handle);
  return 2.0 * n * n * n / time;
}
}  // namespace

Ceilings measure_ceilings(cuda::Gpu& gpu) {
  gpu.use();
  return {copy_rate(gpu), product_rate(gpu)};
}

std::string describe_machine(const cuda::Gpu& gpu) {
  cudaDeviceProp properties{};
  int driver = 0, runtime = 0;
  cuda::check(cudaGetDeviceProperties(&properties, gpu.ordinal()), "cudaGetDeviceProperties");
  cuda::check(cudaDriverGetVersion(&driver), "cudaDriverGetVersion");
  cuda::check(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion");
  const auto version = [](int v) { return std::to_string(v / 1000) + "." + std::to_string(v % 1000 / 10); };
  return std::string(properties.name) + ", " + std::to_string(gpu.multiprocessors()) + " multiprocessors, " +
         std::to_string(properties.totalGlobalMem >> 30) + " GiB, CUDA of the driver " + version(driver) +
         ", runtime " + version(runtime);
}

}  // namespace bench
