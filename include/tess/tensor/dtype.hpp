// Element types: f32, f64, bf16, and int8 weights with grouped bf16 scales.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <bit>
#include <cstdint>
#include <type_traits>

#include "../core/types.hpp"

namespace tess {

using f32 = float;
using f64 = double;
using i32 = std::int32_t;

/// bfloat16: the upper half of an f32. Conversion from f32 rounds to nearest, ties to even, as JAX does; NaN stays NaN.
struct bf16 {
  std::uint16_t bits = 0;

  bf16() = default;
  constexpr explicit bf16(f32 x) : bits(round(x)) {}
  constexpr operator f32() const { return std::bit_cast<f32>(static_cast<std::uint32_t>(bits) << 16); }

  static constexpr bf16 from_bits(std::uint16_t b) {
    bf16 x;
    x.bits = b;
    return x;
  }

 private:
  static constexpr std::uint16_t round(f32 x) {
    const auto u = std::bit_cast<std::uint32_t>(x);
    if ((u & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((u >> 16) | 0x40u);
    return static_cast<std::uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
  }
};
static_assert(sizeof(bf16) == 2 && std::is_trivially_copyable_v<bf16>);

/// A weight `[..., K, N]` of int8 with bf16 scales `[..., G, N]`: w[k, n] = int8[k, n] * scale[k / (K / G), n].
/// G is any divisor of K (1: one scale a column), or `dyn`. Source: Grok-1's QuantizedWeight8bit (xai-org/grok-1
/// model.py).
template <index_t G>
struct q8 {
  static constexpr index_t groups = G;
};

template <class T>
inline constexpr bool is_q8 = false;
template <index_t G>
inline constexpr bool is_q8<q8<G>> = true;

/// A parameter whose elements lie in the order that the device's matmul kernels read. Same values, same shape.
template <class T>
struct packed {
  using element = T;
};

template <class T>
inline constexpr bool is_packed = false;
template <class T>
inline constexpr bool is_packed<packed<T>> = true;

/// An embedding `[V, D]`: its rows as the checkpoint has them, for lookups, and packed as T for products with every
/// row.
template <class T>
struct table {
  using element = T;
};
template <class T>
inline constexpr bool is_table = false;
template <class T>
inline constexpr bool is_table<table<T>> = true;

/// What functions that leave the integers give: f32 of integers and truth values, else T.
template <class T>
using real = std::conditional_t<std::is_integral_v<T>, f32, T>;

/// The type of the numbers: `packed<T>` and `table<T>` hold T.
template <class T>
struct unpacked {
  using type = T;
};
template <class T>
struct unpacked<packed<T>> {
  using type = T;
};
template <class T>
struct unpacked<table<T>> {
  using type = T;
};
template <class T>
using unpacked_t = typename unpacked<T>::type;

}  // namespace tess
