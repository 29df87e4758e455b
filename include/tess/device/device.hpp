// Device: what a policy must offer so that every operation, layer and model runs on it.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../comm/cost.hpp"
#include "../sharding/sharded_tensor.hpp"

namespace tess {

/// A device stores shards and executes verbs on them. `Dry` stores nothing and adds up the bill; `Host` computes.
/// An operation (ops/) checks types, makes the result and calls one verb. A verb that a device lacks is one named
/// error.
template <class D>
concept Device = requires(D& dev, const Extents<Shape<1>>& local) {
  typename D::template storage<f32>;
  dev.template allocate<f32, Mesh<>>(local);
};

template <class Verb, class Dev>
struct device_has_no {
  static_assert(detail::always_false<Verb>,
                "[device] this device cannot run this operation: add the verb to the policy, or move the "
                "tensor to another device");
  static constexpr bool ok = true;
};

}  // namespace tess
