// Line: the elements along one dimension, one behind the other in memory, and where they stand in the whole tensor.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../core/types.hpp"

namespace tess {

/// What a function of whole lines sees: `count` elements on this device, of which the first has index `first` in the
/// whole. A function f(lines...) may also have `at(i, lines...)`, the part of its work that falls to element i of its longest
/// line, for devices that take all i at once.
template <class T>
struct Line {
  T* at = nullptr;
  index_t count = 0, first = 0;

  constexpr T& operator[](index_t i) const { return at[i]; }
  constexpr T* begin() const { return at; }
  constexpr T* end() const { return at + count; }
};

}  // namespace tess
