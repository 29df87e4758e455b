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

/// The verbs, as tags for the error. Their arguments: the result, then the operands.
struct verbs {
  struct add_grouped_bias;
  struct append_to_cache;
  struct attention;
  struct collective;
  struct combine;
  struct combine_here;
  struct contract;
  struct copy;
  struct dispatch;
  struct dispatch_here;
  struct dynamic_slice;
  struct fill;
  struct fill_by_index;
  struct gather_rows;
  struct gather_weights;
  struct grouped_matmul;
  struct map;
  struct map_broadcast;
  struct map_grouped;
  struct map_lines;
  struct matmul;
  struct matmul_heads;
  struct matmul_rows;
  struct number_devices;
  struct reduce_lines;
  struct return_tokens;
  struct rms_scale;
  struct rotary;
  struct route;
  struct scatter_add;
  struct select_token;
  struct send;
  struct send_tokens;
  struct sum_squares;
  struct take;
};

template <class Verb, class Dev>
struct device_has_no {
  static_assert(
      detail::always_false<Verb>,
      "[device] this device lacks the verb that the operation needs: add it to the policy (device/dry.hpp shows "
      "all of them), or use another device");
  static constexpr bool ok = true;
};

/// Calls a verb of a device, or names the one that is missing.
#define TESS_VERB(dev, name, ...)                                                                         \
  do {                                                                                                    \
    if constexpr (requires { (dev).name(__VA_ARGS__); }) (dev).name(__VA_ARGS__);                         \
    else static_assert(device_has_no<verb<verbs::name>, device<std::remove_cvref_t<decltype(dev)>>>::ok); \
  } while (false)

}  // namespace tess
