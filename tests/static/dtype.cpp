// Element types: bf16 rounds to nearest, ties to even; int8 weights carry bf16 scales.
// SPDX-License-Identifier: Apache-2.0
#include <tess/tensor/dtype.hpp>

#include <concepts>
#include <limits>

#include <tess/sharding/sharded_tensor.hpp>

namespace {

using namespace tess;

// bf16 is the upper half of an f32: what fits in 8 bits of mantissa is exact.
static_assert(f32(bf16(1.0f)) == 1.0f && f32(bf16(-0.15625f)) == -0.15625f && bf16(1.0f).bits == 0x3f80);
static_assert(f32(bf16(256.0f)) == 256.0f && f32(bf16(255.0f)) == 255.0f);

// Halfway goes to the even neighbour, anything beyond it to the nearer one.
static_assert(f32(bf16(257.0f)) == 256.0f && f32(bf16(259.0f)) == 260.0f);
static_assert(f32(bf16(257.00003f)) == 258.0f && f32(bf16(256.99997f)) == 256.0f);

// Infinities stay, NaN stays NaN even when only its low bits are set, and what is too large overflows to infinity.
constexpr f32 infinity = std::numeric_limits<f32>::infinity();
static_assert(f32(bf16(infinity)) == infinity && f32(bf16(-infinity)) == -infinity);
static_assert(f32(bf16(std::numeric_limits<f32>::max())) == infinity);
constexpr f32 nan_of_low_bits = f32(bf16(std::bit_cast<f32>(0x7f800001u)));
static_assert(nan_of_low_bits != nan_of_low_bits);

// Zero keeps its sign.
static_assert(bf16(-0.0f).bits == 0x8000);

// A conversion to bf16 loses digits and is written out; one from bf16 is exact and is not.
static_assert(!std::convertible_to<f32, bf16> && std::constructible_from<bf16, f32> && std::convertible_to<bf16, f32>);

// packed<T> and table<T> hold T in another order.
static_assert(std::same_as<unpacked_t<packed<q8<8>>>, q8<8>> && std::same_as<unpacked_t<table<bf16>>, bf16> &&
              std::same_as<unpacked_t<f32>, f32>);
static_assert(is_q8<q8<dyn>> && !is_q8<f32> && is_packed<packed<f32>> && is_table<table<bf16>>);

// Bytes: an int8 weight counts a bf16 scale for every group and column.
static_assert(bytes_of<f32>(Extents<Shape<3, 5>>()) == 60 && bytes_of<packed<bf16>>(Extents<Shape<3, 5>>()) == 30);
static_assert(bytes_of<q8<1>>(Extents<Shape<64, 10>>()) == 640 + 20);
static_assert(bytes_of<q8<8>>(Extents<Shape<2, 64, 10>>()) == 2 * (640 + 8 * 20));

}  // namespace
