// Cpu: which vector instructions the kernels use, found at run time and overridable by TESS_ISA.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "../../core/attributes.hpp"
#include "../../core/error.hpp"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define TESS_X86 1
#include <immintrin.h>
// The library is built for the baseline CPU; a kernel names what it needs. Lambdas inside such functions do not inherit
// the attribute under g++, and so the kernels have none.
#define TESS_TARGET_AVX2 __attribute__((target("avx2,fma")))
#define TESS_TARGET_AVX512 __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")))
#define TESS_TARGET_VNNI __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))
#define TESS_TARGET_BF16 __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))
#else
#define TESS_X86 0
#endif

namespace tess::host {

/// The width of the vectors: portable C++ (the compiler's baseline), AVX2 with FMA, AVX-512 (F, BW, DQ, VL).
enum class Isa { portable, avx2, avx512 };

/// An instruction set and the two dot products that AVX-512 machines may have besides.
struct Cpu {
  Isa isa = Isa::portable;
  bool vnni = false;  // vpdpbusd: u8 x s8 in quads
  bool bf16 = false;  // vdpbf16ps: bf16 x bf16 in pairs
  friend constexpr bool operator==(const Cpu&, const Cpu&) = default;
};

/// All that this machine has.
inline Cpu best_cpu() {
#if TESS_X86
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma"))
    return {Isa::avx512, __builtin_cpu_supports("avx512vnni") != 0, __builtin_cpu_supports("avx512bf16") != 0};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return {Isa::avx2, false, false};
#endif
  return {};
}

/// Its name, as TESS_ISA takes it: portable, avx2, avx512, then `_vnni` and `_bf16`, e.g. `avx512_vnni_bf16`.
inline std::string name(const Cpu& cpu) {
  std::string text = cpu.isa == Isa::portable ? "portable" : cpu.isa == Isa::avx2 ? "avx2" : "avx512";
  if (cpu.vnni) text += "_vnni";
  if (cpu.bf16) text += "_bf16";
  return text;
}

/// Every subset of this machine's instructions that selects other kernels, the portable one first.
inline std::vector<Cpu> available_cpus() {
  const Cpu best = best_cpu();
  std::vector<Cpu> all{{}};
  if (best.isa >= Isa::avx2) all.push_back({Isa::avx2, false, false});
  if (best.isa >= Isa::avx512)
    for (int features = 0; features < 4; ++features)
      if ((!(features & 1) || best.vnni) && (!(features & 2) || best.bf16))
        all.push_back({Isa::avx512, (features & 1) != 0, (features & 2) != 0});
  return all;
}

/// The inverse of `name`. Throws `Error` for an unknown name and for one that this machine cannot run.
inline Cpu parse_cpu(std::string_view text) {
  std::string known;
  for (const Cpu& cpu : available_cpus()) {
    if (name(cpu) == text) return cpu;
    known += (known.empty() ? "" : ", ") + name(cpu);
  }
  fail("TESS_ISA: \"", std::string(text), "\" is not an instruction set of this machine.\nUse one of: ", known, ".");
}

namespace detail {
inline Cpu cpu_from_environment() {
  const char* text = std::getenv("TESS_ISA");
  return text != nullptr && *text != '\0' ? parse_cpu(text) : best_cpu();
}
constexpr unsigned pack(const Cpu& cpu) {  // an atomic of the struct would need libatomic under clang
  return static_cast<unsigned>(cpu.isa) | (cpu.vnni ? 4u : 0u) | (cpu.bf16 ? 8u : 0u);
}
inline std::atomic<unsigned>& current_cpu() {
  static std::atomic<unsigned> current{pack(cpu_from_environment())};
  return current;
}
}  // namespace detail

/// What the kernels use now: TESS_ISA if set, otherwise all that the machine has.
inline Cpu cpu() {
  const unsigned bits = detail::current_cpu().load(std::memory_order_relaxed);
  return {static_cast<Isa>(bits & 3u), (bits & 4u) != 0, (bits & 8u) != 0};
}

/// For tests and measurements. Call it while no kernel runs; `cpu` must be one of `available_cpus()`.
inline void use_cpu(const Cpu& cpu) {
  detail::current_cpu().store(detail::pack(parse_cpu(name(cpu))), std::memory_order_relaxed);
}

}  // namespace tess::host
