// Attention is local: batch and heads are sharded alike in queries, keys and values; sequence and width are whole.
// SPDX-License-Identifier: Apache-2.0
#include <tess/ops/attention.hpp>

#include <concepts>

#include <tess/device/dry.hpp>

namespace {

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;

template <class Spec>
using Query = ShardedTensor<f32, Shape<dyn, dyn, 16, 64>, M, Spec>;
template <class Spec>
using Cache = ShardedTensor<bf16, Shape<dyn, dyn, 8, 64>, M, Spec>;
template <class Q, class C>
concept attends = detail::attention_is_local<Query<Q>, Cache<C>>;

// Data parallelism over the batch, tensor parallelism over the heads, both or neither.
static_assert(attends<P<>, P<>> && attends<P<data>, P<data>> && attends<P<None, None, model>, P<None, None, model>> &&
              attends<P<data, None, model>, P<data, None, model>>);

// Fewer key/value heads than query heads, but on the same axes: a device's query heads find their key head beside them.
static_assert(!attends<P<None, None, model>, P<>> && !attends<P<data>, P<>> && !attends<P<data>, P<model>>);

// Sequence and head width may not be sharded, and nothing may be pending.
static_assert(!attends<P<None, data>, P<None, data>> &&
              !attends<P<None, None, None, model>, P<None, None, None, model>> && !attends<P<Partial<data>>, P<>>);

// The result lies where the queries lie.
static_assert(std::same_as<decltype(attention<f32>(std::declval<Dry&>(), Query<P<data>>{}, Cache<P<data>>{},
                                                   Cache<P<data>>{}, Segments{}, AttentionOptions{})),
                           Query<P<data, None, None, None>>>);

}  // namespace
