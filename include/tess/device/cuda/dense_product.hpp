// Dense bf16 products by NVIDIA's cuBLASLt, where it is there: one matrix or a batch of equal ones, without scales.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tile_parts.hpp"

#if !defined(TESS_EMULATED_ISA) && !defined(TESS_WITHOUT_CUBLASLT) && __has_include(<cublasLt.h>)
#define TESS_HAS_CUBLASLT 1
#include <cublasLt.h>

#include <map>
#include <mutex>
#include <optional>
#include <tuple>
#else
#define TESS_HAS_CUBLASLT 0
#endif

namespace tess::cuda {

#if TESS_HAS_CUBLASLT
namespace detail {

inline void check(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS) fail("[cuda] ", what, " failed: ", cublasLtGetStatusString(status));
}

/// What cublasLt*Create makes. Move-only.
template <class T, cublasStatus_t (*Destroy)(T)>
class Described {
 public:
  Described() = default;
  Described(Described&&) = delete;
  ~Described() {
    if (it_) (void)Destroy(it_);
  }
  T* out() { return &it_; }
  T get() const { return it_; }

 private:
  T it_ = nullptr;
};
using MatmulDescription = Described<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Layout = Described<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Preference = Described<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

/// Column-major [rows, columns], `batch` of them.
inline void describe(Layout& l, cudaDataType_t type, index_t rows, index_t columns, index_t ld, index_t batch,
                     index_t step) {
  check(cublasLtMatrixLayoutCreate(l.out(), type, static_cast<std::uint64_t>(rows), static_cast<std::uint64_t>(columns),
                                   ld),
        "cublasLtMatrixLayoutCreate");
  if (batch == 1) return;
  const auto count = static_cast<std::int32_t>(batch);
  const auto offset = static_cast<std::int64_t>(step);
  check(cublasLtMatrixLayoutSetAttribute(l.get(), CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof(count)),
        "a layout");
  check(cublasLtMatrixLayoutSetAttribute(l.get(), CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &offset, sizeof(offset)),
        "a layout");
}

/// The library on one GPU, and the algorithms that it chose so far. It lives as long as the process.
struct Cublas {
  using Key = std::tuple<index_t, index_t, index_t, index_t, index_t, index_t, index_t, index_t, std::uint32_t, int>;
  cublasLtHandle_t handle = nullptr;
  std::map<Key, std::optional<cublasLtMatmulAlgo_t>> chosen;

  static Cublas& of(const Gpu& gpu) {
    static std::map<int, Cublas>& all = *new std::map<int, Cublas>;  // never destroyed: the driver may end before
    Cublas& one = all[gpu.ordinal()];
    if (!one.handle) check(cublasLtCreate(&one.handle), "cublasLtCreate");
    return one;
  }
  static std::mutex& mutex() {
    static std::mutex m;
    return m;
  }
};

/// The largest power of two, at most 256, that divides an address and a step in bytes.
inline std::uint32_t alignment(const void* at, index_t step) {
  const auto n = reinterpret_cast<std::uintptr_t>(at) | static_cast<std::uintptr_t>(step) | 256;
  return static_cast<std::uint32_t>(n & (~n + 1));
}

}  // namespace detail
#endif

/// y = x · w by cuBLASLt, all terms of x one after the other: y^T = w^T · x^T, since it counts by columns. False where it is
/// not there, or does not have it (then nothing was done): grouped rows, and sums of two terms that are rounded to bf16.
template <Order order, int Terms, class E, class Y>
bool dense_product([[maybe_unused]] Gpu& gpu, [[maybe_unused]] const TileProduct<E, Y>& p) {
#if TESS_HAS_CUBLASLT
  if constexpr (std::is_same_v<E, bf16> && (Terms == 1 || std::is_same_v<Y, f32>)) {
    using namespace detail;
    if (p.space.offsets || p.w.rows == 0) return false;
    const index_t M = p.space.rows, N = p.w.columns, K = p.w.rows, batch = p.space.matrices;
    constexpr cudaDataType_t y_type = std::is_same_v<Y, f32> ? CUDA_R_32F : CUDA_R_16BF;
    gpu.use();
    MatmulDescription description;
    check(cublasLtMatmulDescCreate(description.out(), CUBLAS_COMPUTE_32F, CUDA_R_32F), "cublasLtMatmulDescCreate");
    const cublasOperation_t w_op = order == Order::k_by_n ? CUBLAS_OP_N : CUBLAS_OP_T;
    check(cublasLtMatmulDescSetAttribute(description.get(), CUBLASLT_MATMUL_DESC_TRANSA, &w_op, sizeof(w_op)),
          "a product");
    Layout w, x, y;
    if (order == Order::k_by_n) describe(w, CUDA_R_16BF, N, K, p.w.pitch, batch, K * p.w.pitch);
    else describe(w, CUDA_R_16BF, K, N, p.w.pitch, batch, N * p.w.pitch);
    describe(x, CUDA_R_16BF, K, M, p.x_pitch, batch, M * p.x_pitch);
    describe(y, y_type, N, M, p.ldy, batch, p.y_step);

    constexpr std::size_t workspace_bytes = std::size_t{32} << 20;  // what its kernels for Hopper like to have
    std::optional<cublasLtMatmulAlgo_t> algorithm;
    cublasLtHandle_t handle;
    {
      const std::lock_guard lock(Cublas::mutex());
      Cublas& library = Cublas::of(gpu);
      handle = library.handle;
      constexpr auto y_bytes = static_cast<index_t>(sizeof(Y));
      const std::uint32_t w_aligned = alignment(p.w.data, K * p.w.pitch * 2),
                          x_aligned = alignment(p.x, M * p.x_pitch * 2), y_aligned = alignment(p.y, p.y_step * y_bytes);
      const auto [it, is_new] = library.chosen.try_emplace({M, N, K, p.w.pitch, p.x_pitch, p.ldy, batch, p.y_step,
                                                            w_aligned << 20 | x_aligned << 10 | y_aligned,
                                                            static_cast<int>(order) * 2 + (y_type == CUDA_R_32F)});
      if (is_new) {
        Preference preference;
        check(cublasLtMatmulPreferenceCreate(preference.out()), "cublasLtMatmulPreferenceCreate");
        const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t what, const auto& value) {
          check(cublasLtMatmulPreferenceSetAttribute(preference.get(), what, &value, sizeof(value)), "a preference");
        };
        prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace_bytes);
        prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,  // parts of K are added in f32, in one order
               std::uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
        prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, w_aligned);
        prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, x_aligned);
        prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, y_aligned);
        prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, y_aligned);
        cublasLtMatmulHeuristicResult_t found;
        int count = 0;
        const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
            handle, description.get(), w.get(), x.get(), y.get(), y.get(), preference.get(), 1, &found, &count);
        if (status == CUBLAS_STATUS_SUCCESS && count > 0) it->second = found.algo;
      }
      algorithm = it->second;
    }
    if (!algorithm) return false;
    const auto workspace = gpu.scratch<std::byte>(static_cast<index_t>(workspace_bytes));
    for (int term = Terms - 1; term >= 0; --term) {  // the smaller first
      const float one = 1.0f, beta = term == Terms - 1 ? 0.0f : 1.0f;
      check(cublasLtMatmul(handle, description.get(), &one, p.w.data, w.get(), p.x + term * p.x_term, x.get(), &beta,
                           p.y, y.get(), p.y, y.get(), &*algorithm, workspace.get(), workspace_bytes, gpu.stream()),
            "cublasLtMatmul");
    }
    return true;
  }
#endif
  return false;
}

}  // namespace tess::cuda
