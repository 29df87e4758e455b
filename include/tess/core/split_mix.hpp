// split_mix: a bijection of 64 bits that scatters them; random numbers of a counter, without a state.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

namespace tess {

/// Number `i` of the sequence that `seed` begins: the output function of SplitMix64.
/// Source: Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators, OOPSLA 2014.
constexpr std::uint64_t split_mix(std::uint64_t seed, std::uint64_t i) {
  std::uint64_t z = seed + (i + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

}  // namespace tess
