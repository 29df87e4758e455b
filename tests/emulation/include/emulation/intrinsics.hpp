// The intrinsic functions of device code that the library uses.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <math.h>

#include <atomic>
#include <bit>
#include <limits>
#include <type_traits>

#include "block.hpp"

namespace emulation {

inline Block& current_block() { return *current_thread->block; }

/// The block's dynamic shared memory.
inline std::byte* shared_memory() { return current_block().shared(); }

/// What each lane of the current warp showed, after all that have not ended have shown theirs. Orders no memory, as on the
/// GPU.
template <class T>
class Shown {
 public:
  EMULATION_UNCHECKED Shown(Group& g, Desk& desk, Meeting what, const T& mine, unsigned argument)
      : group_(&g), desk_(&desk) {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= Desk::bytes);
    const unsigned self = current_thread->number;
    copy(desk.at(g.phase, self), reinterpret_cast<const std::byte*>(&mine));
    phase_ = current_block().meet(g, what, argument);
  }
  /// Of lane `i` of the group.
  EMULATION_UNCHECKED T operator[](unsigned i) const {
    T value;
    copy(reinterpret_cast<std::byte*>(&value), desk_->at(phase_, group_->first + i));
    return value;
  }

 private:
  Group* group_;
  Desk* desk_;
  unsigned phase_;

  EMULATION_UNCHECKED static void copy(std::byte* to, const std::byte* from) {
    for (std::size_t i = 0; i < sizeof(T); ++i) to[i] = from[i];
  }
};
template <class T>
Shown<T> show_to_warp(Meeting what, const T& mine, unsigned argument = 0) {
  Block& b = current_block();
  return {b.warp(), b.warp_desk(), what, mine, argument};
}
template <class T>
Shown<T> show_to_warpgroup(Meeting what, const T& mine, unsigned argument = 0) {
  Block& b = current_block();
  return {b.warpgroup(), b.warpgroup_desk(), what, mine, argument};
}
inline unsigned lane() { return current_thread->number % warp_size; }

/// In a loop that waits: lets the others run.
inline void pause(const char* what = "others, in a loop") { current_block().pause(what); }
template <class Condition>
void wait_until(const char* what, Condition condition) {
  while (!condition()) pause(what);
  current_block().made_progress();
}

inline void check_mask(unsigned mask) {
  if (mask != 0xffffffffu)
    current_block().fail("a mask of lanes other than all of them: this emulator takes 0xffffffff only");
}
template <class T>
T shuffle(Meeting what, unsigned mask, T value, unsigned source, unsigned argument) {
  check_mask(mask);
  const std::uint32_t alive = current_block().alive_lanes();
  const auto shown = show_to_warp(what, value, argument);
  if (!(alive >> source & 1))
    current_block().fail(std::string(name_of(what)) + " from lane " + std::to_string(source) +
                         ", which has ended or never was");
  return shown[source];
}

/// Another one at the next meeting: a fast thread's is not to be told to a slow one that still leaves this one.
EMULATION_UNCHECKED inline const char* token_of(const Group& g) { return g.tokens + (g.phase & 1); }
/// What orders memory: before it, what the caller did is told; after it, the caller knows what the others told.
template <class F>
auto ordered(Group& g, F wait) {
  const char* token = token_of(g);
  tsan::release(token);
  const auto result = wait();
  tsan::acquire(token);
  return result;
}
inline std::array<unsigned, 2> block_vote(Meeting what, bool vote) {
  Group& g = current_block().whole();
  return ordered(g, [&] { return current_block().vote(g, what, vote); });
}
inline std::array<unsigned, 2> warp_vote(Meeting what, unsigned mask, bool vote) {
  check_mask(mask);
  return current_block().vote(current_block().warp(), what, vote);
}

/// A fence before an atomic operation makes it tell what came before.
template <class T, class F>
T atomic(T* at, F f) {
  Thread& t = *current_thread;
  if (t.fenced) tsan::release(at);
  T old = std::atomic_ref<T>(*at).load(std::memory_order_relaxed);
  while (!std::atomic_ref<T>(*at).compare_exchange_weak(old, f(old), std::memory_order_relaxed)) {
  }
  if (t.fenced) tsan::release(at);  // the operation itself, too
  tsan::acquire(at);
  return old;
}

}  // namespace emulation

inline void __syncthreads() { emulation::block_vote(emulation::Meeting::syncthreads, false); }
inline int __syncthreads_or(int p) { return emulation::block_vote(emulation::Meeting::syncthreads_or, p != 0)[0] != 0; }
inline int __syncthreads_and(int p) {
  const auto v = emulation::block_vote(emulation::Meeting::syncthreads_and, p != 0);
  return v[0] == v[1];
}
inline int __syncthreads_count(int p) {
  return static_cast<int>(emulation::block_vote(emulation::Meeting::syncthreads_count, p != 0)[0]);
}
inline void __syncwarp(unsigned mask = 0xffffffffu) {
  emulation::check_mask(mask);
  emulation::Group& g = emulation::current_block().warp();
  emulation::ordered(g, [&] { return emulation::current_block().meet(g, emulation::Meeting::syncwarp); });
}

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  const unsigned w = static_cast<unsigned>(width), l = emulation::lane();
  return emulation::shuffle(emulation::Meeting::shfl, mask, value,
                            (l & ~(w - 1)) | (static_cast<unsigned>(source) & (w - 1)), w);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32) {
  const unsigned w = static_cast<unsigned>(width), l = emulation::lane(), from = l ^ static_cast<unsigned>(lanes);
  return emulation::shuffle(emulation::Meeting::shfl_xor, mask, value,
                            (from & ~(w - 1)) <= (l & ~(w - 1)) ? from & 31 : l,
                            w << 8 | (static_cast<unsigned>(lanes) & 31));
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned lanes, int width = 32) {
  const unsigned w = static_cast<unsigned>(width), l = emulation::lane();
  return emulation::shuffle(emulation::Meeting::shfl_down, mask, value, (l & (w - 1)) + lanes < w ? l + lanes : l,
                            w << 8 | (lanes & 255));
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned lanes, int width = 32) {
  const unsigned w = static_cast<unsigned>(width), l = emulation::lane();
  return emulation::shuffle(emulation::Meeting::shfl_up, mask, value, (l & (w - 1)) >= lanes ? l - lanes : l,
                            w << 8 | (lanes & 255));
}
inline unsigned __ballot_sync(unsigned mask, int p) {
  emulation::check_mask(mask);
  const std::uint32_t alive = emulation::current_block().alive_lanes();
  const auto shown = emulation::show_to_warp(emulation::Meeting::ballot, p != 0);
  unsigned bits = 0;
  for (unsigned i = 0; i < emulation::warp_size; ++i)
    if ((alive >> i & 1) && shown[i]) bits |= 1u << i;
  return bits;
}
inline int __any_sync(unsigned mask, int p) {
  return emulation::warp_vote(emulation::Meeting::any, mask, p != 0)[0] != 0;
}
inline int __all_sync(unsigned mask, int p) {
  const auto v = emulation::warp_vote(emulation::Meeting::all, mask, p != 0);
  return v[0] == v[1];
}
inline unsigned __activemask() { return emulation::current_block().alive_lanes(); }

inline void __threadfence() {
  emulation::Thread& t = *emulation::current_thread;
  std::atomic_signal_fence(std::memory_order_seq_cst);
#ifndef __SANITIZE_THREAD__
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
  t.fenced = true;
}
inline void __threadfence_block() { __threadfence(); }
inline void __threadfence_system() { __threadfence(); }

template <class T>
T atomicAdd(T* at, std::type_identity_t<T> v) {
  return emulation::atomic(at, [v](T old) { return static_cast<T>(old + v); });
}
template <class T>
T atomicMax(T* at, std::type_identity_t<T> v) {
  return emulation::atomic(at, [v](T old) { return old < v ? v : old; });
}
template <class T>
T atomicMin(T* at, std::type_identity_t<T> v) {
  return emulation::atomic(at, [v](T old) { return v < old ? v : old; });
}
template <class T>
T atomicExch(T* at, std::type_identity_t<T> v) {
  return emulation::atomic(at, [v](T) { return v; });
}
template <class T>
T atomicCAS(T* at, std::type_identity_t<T> expected, std::type_identity_t<T> v) {
  return emulation::atomic(at, [=](T old) { return old == expected ? v : old; });
}
template <class T>
T atomicOr(T* at, std::type_identity_t<T> v) {
  return emulation::atomic(at, [v](T old) { return static_cast<T>(old | v); });
}
template <class T>
T atomicAnd(T* at, std::type_identity_t<T> v) {
  return emulation::atomic(at, [v](T old) { return static_cast<T>(old & v); });
}

constexpr int __popc(unsigned v) { return std::popcount(v); }
constexpr int __popcll(unsigned long long v) { return std::popcount(v); }
constexpr int __clz(int v) { return std::countl_zero(static_cast<unsigned>(v)); }
constexpr int __clzll(long long v) { return std::countl_zero(static_cast<unsigned long long>(v)); }
constexpr int __ffs(int v) { return v == 0 ? 0 : std::countr_zero(static_cast<unsigned>(v)) + 1; }
constexpr unsigned __brev(unsigned v) {
  unsigned r = 0;
  for (int i = 0; i < 32; ++i) r |= (v >> i & 1u) << (31 - i);
  return r;
}
constexpr unsigned __float_as_uint(float v) { return std::bit_cast<unsigned>(v); }
constexpr float __uint_as_float(unsigned v) { return std::bit_cast<float>(v); }
constexpr int __float_as_int(float v) { return std::bit_cast<int>(v); }
constexpr float __int_as_float(int v) { return std::bit_cast<float>(v); }
/// Bytes of {b, a} by four selectors of 4 bits, of which the highest asks for copies of the sign. Source: PTX ISA, prmt.
constexpr unsigned __byte_perm(unsigned a, unsigned b, unsigned selector) {
  const unsigned long long bytes = static_cast<unsigned long long>(b) << 32 | a;
  unsigned r = 0;
  for (int i = 0; i < 4; ++i) {
    const unsigned s = selector >> 4 * i & 15;
    unsigned byte = static_cast<unsigned>(bytes >> 8 * (s & 7)) & 255;
    if (s & 8) byte = byte & 128 ? 255 : 0;
    r |= byte << 8 * i;
  }
  return r;
}
template <class T>
T __ldg(const T* at) {
  return *at;
}
/// Not to be fused with an addition.
inline float __fmul_rn(float a, float b) {
  volatile float r = a * b;
  return r;
}
inline float __fadd_rn(float a, float b) {
  volatile float r = a + b;
  return r;
}
inline float rsqrtf(float v) { return 1.0f / sqrtf(v); }
inline float __expf(float v) { return expf(v); }
inline float __logf(float v) { return logf(v); }
inline float __fdividef(float a, float b) { return a / b; }
inline void __nanosleep(unsigned) { emulation::pause(); }
