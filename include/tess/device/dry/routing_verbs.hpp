// The verbs of mixtures of experts on Dry: no token moves between devices, and none is dropped as far as a bill knows.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../../comm/cost.hpp"
#include "../../sharding/shard_bytes.hpp"
#include "../../sharding/sharded_tensor.hpp"

namespace tess::dry {

/// Mixed into Dry, which keeps the bill.
template <class Device>
class RoutingVerbs {
 public:
  template <AnyTensor Ids, AnyTensor Weights, AnyTensor Logits, class Choose, AnyTensor... Given>
  constexpr void route(Ids& ids, Weights& weights, const Logits& logits, Choose, const Given&... given) {
    moved("route", ids, weights, logits, given...);
  }
  template <AnyTensor Rows, AnyTensor Positions, AnyTensor Offsets, AnyTensor X, AnyTensor Ids>
  constexpr void dispatch(Rows& rows, Positions& positions, Offsets& offsets, const X& x, const Ids& ids) {
    moved("dispatch", rows, positions, offsets, x, ids);
  }
  template <AnyTensor Y, AnyTensor Rows, AnyTensor Positions, AnyTensor Weights>
  constexpr void combine(Y& y, const Rows& rows, const Positions& positions, const Weights& weights) {
    moved("combine", y, rows, positions, weights);
  }
  template <class F, AnyTensor Y, AnyTensor Offsets, AnyTensor... X>
  constexpr void map_grouped(F, Y& y, const Offsets&, const X&... x) {
    moved("map", y, x...);
  }
  template <AnyTensor Y, AnyTensor X, AnyTensor Bias, AnyTensor Offsets>
  constexpr void add_grouped_bias(Y& y, const X& x, const Bias& bias, const Offsets& offsets) {
    const index_t experts = bias.local_extent(0), rows = x.local_extent(0);
    self().work({.verb = "add_grouped_bias",
                 .weight_bytes = experts == 0 ? 0 : shard_bytes(bias) / experts * (rows < experts ? rows : experts),
                 .activation_bytes = shard_bytes(y) + shard_bytes(x) + shard_bytes(offsets)},
                bias);
  }

 private:
  template <class... X>
  constexpr void moved(std::string_view verb, const X&... x) {
    self().work({.verb = verb, .activation_bytes = (shard_bytes(x) + ...)});
  }
  constexpr Device& self() { return static_cast<Device&>(*this); }
};

}  // namespace tess::dry
