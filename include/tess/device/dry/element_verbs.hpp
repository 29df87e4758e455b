// The verbs of elementwise operations and reductions on Dry: they read their operands and write their result.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../../sharding/sharded_tensor.hpp"

namespace tess::dry {

/// Mixed into Dry, which keeps the bill.
template <class Device>
class ElementVerbs {
 public:
  template <class F, AnyTensor Y, AnyTensor... X>
  constexpr void map_broadcast(F f, Y& y, const X&... x) {
    static_cast<Device&>(*this).map(f, y, x...);
  }
  template <class F, AnyTensor Y, AnyTensor X>
  constexpr void reduce_lines(F f, Y& y, const X& x, unsigned) {
    static_cast<Device&>(*this).map(f, y, x);
  }
  template <class F, AnyTensor Y>
  constexpr void fill_by_index(F f, Y& y) {
    static_cast<Device&>(*this).map(f, y);
  }
};

}  // namespace tess::dry
