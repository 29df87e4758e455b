// The instructions that C++ has no word for: tensor cores, asynchronous copies, cache hints, waiting for other kernels.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#ifdef TESS_EMULATED_ISA  // tests/emulation: the same functions on a CPU
#include TESS_EMULATED_ISA
#else

namespace tess::cuda {

/// Sixteen bytes, as one load or store.
struct alignas(16) Words {
  std::uint32_t word[4];
};

/// The block's dynamic shared memory (Launch::shared bytes, at a multiple of 1024). All shared memory of all kernels comes
/// from here.
__device__ inline std::byte* shared_memory() {
  extern __shared__ __align__(1024) std::byte tess_shared[];
  return tess_shared;
}

__device__ inline std::uint32_t shared_address(const void* at) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(at));
}

/// 16 bytes from global to shared memory, in the background; zeros where `there` is false (nothing is read then).
__device__ inline void copy_async(void* to, const void* from, bool there = true) {
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
               "r"(there ? 16 : 0)
               : "memory");
}
/// The same through L1: for what other warps of the block are about to read as well.
__device__ inline void copy_async_cached(void* to, const void* from, bool there = true) {
  asm volatile("cp.async.ca.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
               "r"(there ? 16 : 0)
               : "memory");
}
/// Ends a group of copies.
__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// Waits until at most `Pending` of this thread's groups are under way. Other threads see the data after a barrier.
template <int Pending>
__device__ inline void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
}

/// Four 8 x 8 matrices of 16-bit elements: lane i gives the address of row i % 8 of matrix i / 8 (16 bytes in shared
/// memory); r[m] of lane l is then elements (l / 4, 2 (l % 4)) and (l / 4, 2 (l % 4) + 1) of matrix m.
/// Source: PTX ISA, ldmatrix.
__device__ inline void load_matrices(std::uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
/// The same, each matrix transposed.
__device__ inline void load_matrices_transposed(std::uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}

/// d [16, 8] f32 += a [16, 16] · b [16, 8], bf16, by a warp. Lane l, g = l / 4, t = l % 4, pairs with the lower index in the
/// lower half:
///   a[0]: (g, 2t), (g, 2t+1)   a[1]: (g+8, 2t), …   a[2]: (g, 2t+8), …   a[3]: (g+8, 2t+8), …
///   b[0]: (k = 2t, n = g), (2t+1, g)                b[1]: (2t+8, g), (2t+9, g)
///   d[0]: (g, 2t)   d[1]: (g, 2t+1)   d[2]: (g+8, 2t)   d[3]: (g+8, 2t+1)
/// Source: PTX ISA, mma.m16n8k16.
__device__ inline void multiply_add(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, "
      "%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// Two f32 rounded to bf16: `low` in the lower half.
__device__ inline std::uint32_t pack_bf16(float low, float high) {
  std::uint32_t d;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(high), "f"(low));
  return d;
}
/// 1 / x to 1 ulp; 0 of infinity.
__device__ inline float reciprocal(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
/// Sums of two pairs of bf16, each rounded.
__device__ inline std::uint32_t add_bf16_pairs(std::uint32_t a, std::uint32_t b) {
  std::uint32_t d;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(0x3f803f80u), "r"(b));  // a · 1 + b: sm_80 has no add
  return d;
}
/// (a & mask) | bits, in one instruction: the compiler makes two of two constants. Source: PTX ISA, lop3.
__device__ inline std::uint32_t masked_or(std::uint32_t a, std::uint32_t mask, std::uint32_t bits) {
  std::uint32_t d;
  asm("lop3.b32 %0, %1, %2, %3, 0xEA;" : "=r"(d) : "r"(a), "r"(mask), "r"(bits));
  return d;
}
/// tanh x with a relative error of 2^-11.
__device__ inline float approximate_tanh(float x) {
  float y;
  asm("tanh.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
/// Bytes of {b, a} by four selectors of 4 bits. Source: PTX ISA, prmt.
__device__ inline std::uint32_t permute_bytes(std::uint32_t a, std::uint32_t b, std::uint32_t selector) {
  return __byte_perm(a, b, selector);
}

/// For kernels launched with `overlaps`: waits until what the kernel ahead wrote can be seen. Nothing on others. Every block
/// calls it, also one that has nothing to do: otherwise the kernel could end, and the next begin, before the one ahead does.
__device__ inline void wait_for_previous_kernel() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
/// Lets the next kernel start as soon as all blocks have called it or ended.
__device__ inline void let_next_kernel_start() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

/// Flags in memory that other GPUs of the node see.
__device__ inline std::uint32_t load_acquire(const std::uint32_t* at) {
  std::uint32_t v;
  asm volatile("ld.acquire.sys.global.u32 %0, [%1];" : "=r"(v) : "l"(at) : "memory");
  return v;
}
__device__ inline void store_release(std::uint32_t* at, std::uint32_t v) {
  asm volatile("st.release.sys.global.u32 [%0], %1;" ::"l"(at), "r"(v) : "memory");
}
/// In a loop that waits for a flag.
__device__ inline void pause() { __nanosleep(40); }

}  // namespace tess::cuda
#endif
