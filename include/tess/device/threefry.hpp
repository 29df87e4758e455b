// JAX's threefry2x32 random numbers, bit for bit: keys, splits, random bytes, and the 128 Gumbel values of bfloat16.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "../core/types.hpp"
#include "../tensor/dtype.hpp"

namespace tess::generate {

/// A raw JAX key (uint32[2]). Source: JAX 0.4.25, jax_threefry_partitionable off (its default).
struct Key {
  std::uint32_t hi = 0, lo = 0;
  friend constexpr bool operator==(const Key&, const Key&) = default;
};

/// One block of Threefry-2x32 with 20 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
constexpr std::array<std::uint32_t, 2> threefry2x32(Key key, std::uint32_t x0, std::uint32_t x1) {
  constexpr int rotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  const std::uint32_t schedule[3] = {key.hi, key.lo, key.hi ^ key.lo ^ 0x1BD11BDAu};
  x0 += schedule[0];
  x1 += schedule[1];
  for (std::uint32_t group = 0; group < 5; ++group) {  // four rounds, then a piece of the key
    for (const int r : rotations[group % 2]) {
      x0 += x1;
      x1 = ((x1 << r) | (x1 >> (32 - r))) ^ x0;
    }
    x0 += schedule[(group + 1) % 3];
    x1 += schedule[(group + 2) % 3] + group + 1;
  }
  return {x0, x1};
}

/// `jax.random.PRNGKey(seed)` without 64-bit mode: only the low 32 bits of the seed count.
constexpr Key prng_key(std::uint64_t seed) { return {0, static_cast<std::uint32_t>(seed)}; }

/// `jax.random.split(key)`: the rows of the [2, 2] result.
constexpr std::pair<Key, Key> split(Key key) {
  const auto even = threefry2x32(key, 0, 2), odd = threefry2x32(key, 1, 3);
  return {Key{even[0], odd[0]}, Key{even[1], odd[1]}};
}

/// Bytes 4 `i` … 4 `i` + 3 of `random_bytes(key, count)`, the first one lowest, alone.
constexpr std::uint32_t random_word(Key key, index_t count, index_t i) {
  const auto words = static_cast<std::uint32_t>((count + 3) / 4), word = static_cast<std::uint32_t>(i);
  const std::uint32_t half = (words + 1) / 2, first = word < half ? word : word - half;
  const auto bits = threefry2x32(key, first, half + first < words ? half + first : 0);
  return bits[word < half ? 0 : 1];
}

/// `jax.random.bits(key, [count], uint8)`: the counters 0, 1, 2, … are hashed in pairs (i, i + half), low byte first.
inline void random_bytes(Key key, index_t count, std::vector<std::uint8_t>& out) {
  const auto words = static_cast<std::uint32_t>((count + 3) / 4);
  const std::uint32_t half = (words + 1) / 2;
  out.resize(std::size_t{half} * 8);
  const auto put = [&out](std::uint32_t word, std::uint32_t bits) {
    for (std::size_t b = 0; b < 4; ++b) out[std::size_t{word} * 4 + b] = static_cast<std::uint8_t>(bits >> (8 * b));
  };
  for (std::uint32_t i = 0; i < half; ++i) {
    // An odd number of counters is filled up with a zero.
    const auto bits = threefry2x32(key, i, half + i < words ? half + i : 0);
    put(i, bits[0]);
    put(half + i, bits[1]);
  }
  out.resize(static_cast<std::size_t>(count));
}

/// `jax.random.gumbel(key, shape, bfloat16)` draws 7 random bits an element, the upper ones of a random byte:
/// u = bits / 128 (the smallest normal number instead of 0), then -log(-log(u)), rounded to bfloat16 once, at the end.
/// The value for each 7 bits.
inline const std::array<bf16, 128>& gumbel_bf16() {
  static const auto values = [] {
    std::array<bf16, 128> v;
    for (std::size_t i = 0; i < v.size(); ++i) {
      const double u = i == 0 ? double{FLT_MIN} : static_cast<double>(i) / 128;
      v[i] = bf16(static_cast<float>(-std::log(-std::log(u))));
    }
    return v;
  }();
  return values;
}

/// The random state of one request, as the reference's runner moves it: the first key from `prefill`, one more a step.
class RequestKeys {
 public:
  explicit constexpr RequestKeys(std::uint64_t seed) : state_(prng_key(seed)) {}

  /// The key for the next token.
  constexpr Key next() {
    const auto [state, key] = split(state_);
    state_ = state;
    return key;
  }

 private:
  Key state_;
};

}  // namespace tess::generate
