// Instructions of Hopper (sm_90a): barriers that count bytes, tensor copies (TMA), and the tensor cores of a warpgroup.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "isa.hpp"
#include "tensor_map.hpp"

#ifdef TESS_EMULATED_ISA  // tests/emulation: the same functions on a CPU
#define TESS_HAS_HOPPER_ISA 1
#include "emulated_isa_hopper.hpp"
#else

#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define TESS_HAS_HOPPER_ISA 1
#else
#define TESS_HAS_HOPPER_ISA 0  // where the compiler makes code for other GPUs, these functions do not exist
#endif

#if TESS_HAS_HOPPER_ISA
namespace tess::cuda {

/// A barrier in shared memory. A phase ends when so many threads as it was made for have arrived and all bytes that it was
/// told of are there; then the next phase begins. Phases are told apart by their parity: 0, 1, 0 …
/// Source: PTX ISA, mbarrier.
struct alignas(8) Barrier {
  std::uint64_t state;
};

__device__ inline void make_barrier(Barrier& b, std::uint32_t arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(&b)), "r"(arrivals) : "memory");
}
/// Barriers that were made are there for tensor copies too; a barrier of the block's threads comes next.
__device__ inline void publish_barriers() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
__device__ inline void arrive(Barrier& b) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(&b)) : "memory");
}
/// Arrives, and tells of bytes that tensor copies will bring in this phase.
__device__ inline void arrive_and_expect(Barrier& b, std::uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(&b)), "r"(bytes)
               : "memory");
}
/// Waits until the phase of this parity has ended. What arrived in it is seen.
__device__ inline void wait(Barrier& b, std::uint32_t parity) {
  asm volatile(
      "{\n.reg .pred p;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n"
      "@!p bra again;\n}" ::"r"(shared_address(&b)),
      "r"(parity)
      : "memory");
}

/// One box of a tensor to shared memory, in the background: the box's bytes, 128-byte swizzled (tensor_map.hpp), at a multiple
/// of 1024; elements outside the tensor as zeros. `b` counts the box's bytes. By one thread. Coordinates: innermost first.
/// Source: PTX ISA, cp.async.bulk.tensor.
__device__ inline void copy_box(void* to, const TensorMap& map, Barrier& b, std::int32_t c0, std::int32_t c1,
                                std::int32_t c2) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4}], [%5];" ::
          "r"(shared_address(to)),
      "l"(&map), "r"(c0), "r"(c1), "r"(c2), "r"(shared_address(&b))
      : "memory");
}

/// A barrier of `Count` threads of the block, whole warps; `id` 1 to 15.
template <int Count>
__device__ inline void synchronize_threads(int id) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "n"(Count) : "memory");
}

/// What this thread wrote to shared memory, or copied there by copy_async and waited for, can be read by multiply_add_async
/// after a barrier of the block's threads.
__device__ inline void publish_writes() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

/// Gives registers of this warpgroup back, or takes more: N of each thread from here on.
template <int N>
__device__ inline void release_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(N));
}
template <int N>
__device__ inline void acquire_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(N));
}

/// Before the first multiply_add_async of a batch: registers that it reads or adds to are as this thread left them.
__device__ inline void begin_batch() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ inline void commit_batch() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
/// Waits until at most `Pending` batches are under way. Until then no register and no shared memory that a batch uses may
/// change.
template <int Pending>
__device__ inline void wait_for_batches() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Pending) : "memory");
}

/// d [64, N] f32 += a [64, 16] · b [16, N], bf16, by a warpgroup, in the background. Warp w of the four has
/// the rows 16 w … 16 w + 15 of a and d. Lane l, g = l / 4, t = l % 4: a as in multiply_add (isa.hpp);
/// d[4 j + 0 … 3]: (g, 8 j + 2t), (g, 8 j + 2t + 1), (g + 8, 8 j + 2t), (g + 8, 8 j + 2t + 1).
/// Source: PTX ISA, wgmma.mma_async, register fragments of m64nNk16.
__device__ inline void multiply_add_async(float (&d)[32], const std::uint32_t (&a)[4], std::uint64_t b) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, 1, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, "
      "%23, %24, %25, %26, %27, %28, %29, %30, %31}, "
      "{%32, %33, %34, %35}, %36, p, 1, 1, 0;\n}"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]), "+f"(d[8]),
        "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]), "+f"(d[16]),
        "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]),
        "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}
__device__ inline void multiply_add_async(float (&d)[64], const std::uint32_t (&a)[4], std::uint64_t b) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, 1, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, "
      "%23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, "
      "%44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
      "{%64, %65, %66, %67}, %68, p, 1, 1, 0;\n}"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]), "+f"(d[8]),
        "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]), "+f"(d[16]),
        "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]),
        "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31]), "+f"(d[32]),
        "+f"(d[33]), "+f"(d[34]), "+f"(d[35]), "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), "+f"(d[40]),
        "+f"(d[41]), "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]), "+f"(d[48]),
        "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]), "+f"(d[56]),
        "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}
/// The same with b given by operand_b_transposed.
__device__ inline void multiply_add_transposed_async(float (&d)[64], const std::uint32_t (&a)[4], std::uint64_t b) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, 1, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, "
      "%23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, "
      "%44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
      "{%64, %65, %66, %67}, %68, p, 1, 1, 1;\n}"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]), "+f"(d[8]),
        "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]), "+f"(d[16]),
        "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]),
        "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31]), "+f"(d[32]),
        "+f"(d[33]), "+f"(d[34]), "+f"(d[35]), "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), "+f"(d[40]),
        "+f"(d[41]), "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]), "+f"(d[48]),
        "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]), "+f"(d[56]),
        "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

}  // namespace tess::cuda
#endif
#endif

#if TESS_HAS_HOPPER_ISA
namespace tess::cuda {

/// Where operand B lies in shared memory: N rows of 64 bf16 along K (128 bytes), 128-byte swizzled, the first at a multiple of
/// 1024. `k` is the first of the 16 that are multiplied, a multiple of 16 below 64. Fields: address / 16 in bits 0-13; leading
/// dimension, not used by a swizzled K-major operand, 16-29; bytes from 8 rows to the next 8, / 16, 32-45; swizzle 62-63, 1
/// being 128 bytes. Source: PTX ISA, wgmma, matrix descriptor.
__device__ inline std::uint64_t operand_b(const void* at, int k) {
  const std::uint64_t address = shared_address(at) + static_cast<std::uint32_t>(2 * k);
  return (address & 0x3ffff) >> 4 | std::uint64_t{1} << 16 | std::uint64_t{1024 / 16} << 32 | std::uint64_t{1} << 62;
}

/// Operand B where K is the dimension of rows: 16 rows, the first a multiple of 8 in its box, of boxes of 64 bf16 (128 bytes,
/// swizzled as above) that lie `box` bytes apart; N columns are N / 64 boxes. Fields: leading dimension: bytes from 64 columns
/// to the next 64, / 16; then bytes from 8 rows to the next 8, / 16. Source: PTX ISA, wgmma, matrix descriptor, MN-major
/// operands; multiply_add_transposed_async has the transposition of B as its last operand.
__device__ inline std::uint64_t operand_b_transposed(const void* rows, int box) {
  const std::uint64_t address = shared_address(rows);
  return (address & 0x3ffff) >> 4 | static_cast<std::uint64_t>(box / 16) << 16 | std::uint64_t{1024 / 16} << 32 |
         std::uint64_t{1} << 62;
}

}  // namespace tess::cuda
#endif
