// What device/cuda/isa.hpp has, on a CPU: tensor cores by their documented layouts, copies that land late.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cuda_runtime.h>

namespace tess::cuda {

struct alignas(16) Words {
  std::uint32_t word[4];
};

inline std::byte* shared_memory() { return emulation::shared_memory(); }

inline void check_aligned(const void* at, const char* what) {
  if (reinterpret_cast<std::uintptr_t>(at) % 16 != 0)
    emulation::current_block().fail(std::string(what) + " at an address that is no multiple of 16");
}

inline std::uint32_t shared_address(const void* at) {
  return static_cast<std::uint32_t>(static_cast<const std::byte*>(at) - emulation::shared_memory());
}

/// Lands at wait_for_copies. Until then the destination is full of NaN: the GPU may write it at any time from now on.
inline void copy_async(void* to, const void* from, bool there = true) {
  check_aligned(to, "copy_async to shared memory");
  if (there) check_aligned(from, "copy_async");
  const std::byte* shared = emulation::shared_memory();
  const auto* at = static_cast<const std::byte*>(to);
  if (at < shared || at + 16 > shared + emulation::current_block().shared_bytes())
    emulation::current_block().fail("copy_async to an address outside of shared memory");
  constexpr std::uint32_t nan = 0xffffffffu;
  *static_cast<Words*>(to) = {{nan, nan, nan, nan}};
  if (there) {
    const volatile std::uint32_t* source = static_cast<const std::uint32_t*>(from);
    for (int i = 0; i < 4; ++i) (void)source[i];  // may be read at any time, too
  }
  emulation::current_thread->open_copies.push_back({to, there ? from : nullptr});
}
inline void copy_async_cached(void* to, const void* from, bool there = true) { copy_async(to, from, there); }
inline void commit_copies() {
  emulation::Thread& t = *emulation::current_thread;
  t.copies.push_back(std::move(t.open_copies));
  t.open_copies.clear();
}
template <int Pending>
inline void wait_for_copies() {
  auto& copies = emulation::current_thread->copies;
  while (copies.size() > static_cast<std::size_t>(Pending)) {
    for (const emulation::PendingCopy& c : copies.front())
      *static_cast<Words*>(c.to) = c.from ? *static_cast<const Words*>(c.from) : Words{};
    copies.erase(copies.begin());
  }
}

namespace emulated {
inline std::uint16_t half_of(const void* row, unsigned i) { return static_cast<const std::uint16_t*>(row)[i]; }
inline float low(std::uint32_t pair) { return __uint_as_float(pair << 16); }
inline float high(std::uint32_t pair) { return __uint_as_float(pair & 0xffff0000u); }
}  // namespace emulated

inline void load_matrices(std::uint32_t (&r)[4], const void* row) {
  check_aligned(row, "load_matrices");
  const auto rows = emulation::show_to_warp(emulation::Meeting::ldmatrix, row);
  const unsigned l = emulation::lane();
  for (unsigned m = 0; m < 4; ++m) r[m] = static_cast<const std::uint32_t*>(rows[8 * m + l / 4])[l % 4];
}
inline void load_matrices_transposed(std::uint32_t (&r)[4], const void* row) {
  check_aligned(row, "load_matrices_transposed");
  const auto rows = emulation::show_to_warp(emulation::Meeting::ldmatrix, row, 1);
  const unsigned l = emulation::lane(), i = 2 * (l % 4);
  for (unsigned m = 0; m < 4; ++m)  // (l / 4, i) of the transpose is (i, l / 4)
    r[m] = emulated::half_of(rows[8 * m + i], l / 4) |
           static_cast<std::uint32_t>(emulated::half_of(rows[8 * m + i + 1], l / 4)) << 16;
}

inline void multiply_add(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  struct Fragments {
    std::uint32_t a[4], b[2];
  };
  const auto lanes =
      emulation::show_to_warp(emulation::Meeting::mma, Fragments{{a[0], a[1], a[2], a[3]}, {b[0], b[1]}});
  const unsigned l = emulation::lane(), g = l / 4, t = l % 4;
  for (unsigned k = 0; k < 16; k += 2) {
    // Row g of a lies in the lanes 4 g + …; column 2 t of b in the lanes 4 (2 t) + …
    const unsigned part = k / 8, from = k % 8 / 2;
    const Fragments rows = lanes[4 * g + from], even = lanes[4 * (2 * t) + from], odd = lanes[4 * (2 * t + 1) + from];
    for (unsigned half = 0; half < 2; ++half) {  // rows g and g + 8
      const std::uint32_t x = rows.a[2 * part + half];
      d[2 * half] += emulated::low(x) * emulated::low(even.b[part]);
      d[2 * half] += emulated::high(x) * emulated::high(even.b[part]);
      d[2 * half + 1] += emulated::low(x) * emulated::low(odd.b[part]);
      d[2 * half + 1] += emulated::high(x) * emulated::high(odd.b[part]);
    }
  }
}

/// Round to nearest, ties to even; any NaN is 0x7fff. Source: PTX ISA, cvt.
inline std::uint32_t pack_bf16(float low, float high) {
  const auto round = [](float v) -> std::uint32_t {
    if (v != v) return 0x7fff;
    const std::uint32_t u = __float_as_uint(v);
    return (u + 0x7fff + (u >> 16 & 1)) >> 16;
  };
  return round(low) | round(high) << 16;
}
inline float reciprocal(float x) { return 1.0f / x; }
/// As coarse as the instruction may be.
inline float approximate_tanh(float x) { return std::tanh(x) * (1 - 1.0f / 2048); }
inline std::uint32_t add_bf16_pairs(std::uint32_t a, std::uint32_t b) {
  return pack_bf16(emulated::low(a) + emulated::low(b), emulated::high(a) + emulated::high(b));
}
inline std::uint32_t masked_or(std::uint32_t a, std::uint32_t mask, std::uint32_t bits) { return (a & mask) | bits; }
inline std::uint32_t permute_bytes(std::uint32_t a, std::uint32_t b, std::uint32_t selector) {
  return __byte_perm(a, b, selector);
}

inline void wait_for_previous_kernel() { emulation::current_block().wait_for_previous_kernel(); }
inline void let_next_kernel_start() {}

inline std::uint32_t load_acquire(const std::uint32_t* at) {
  return std::atomic_ref<std::uint32_t>(*const_cast<std::uint32_t*>(at)).load(std::memory_order_acquire);
}
inline void store_release(std::uint32_t* at, std::uint32_t v) {
  std::atomic_ref<std::uint32_t>(*at).store(v, std::memory_order_release);
}
inline void pause() { emulation::pause("a flag"); }

}  // namespace tess::cuda
