// The verbs of structural operations on Dry: elements are read and written on their device, and none moves.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <tuple>

#include "../../sharding/sharded_tensor.hpp"

namespace tess::dry {

/// Mixed into Dry, which keeps the bill.
template <class Device>
class StructureVerbs {
 public:
  template <AnyTensor Y, class T>
  constexpr void fill(Y& y, const T&) {
    self().map(0, y);
  }
  template <AnyTensor Y, AnyTensor X, class BoxOf>
  constexpr void copy(Y& y, const X& x, const BoxOf&) {
    self().map(0, y, x);
  }
  template <class F, AnyTensor... Y, AnyTensor... X>
  constexpr void map_lines(F, int, const std::tuple<Y&...>& y, const X&... x) {
    self().map(0, std::get<0>(y), x...);
  }

 private:
  constexpr Device& self() { return static_cast<Device&>(*this); }
};

}  // namespace tess::dry
