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
// Keys may also lie over fewer, more major axes, and be replicated over the others; not over more.
static_assert(attends<P<None, None, model>, P<>> && attends<P<None, None, Axes<model, data>>, P<None, None, model>> &&
              !attends<P<None, None, Axes<model, data>>, P<None, None, data>> && !attends<P<>, P<None, None, model>>);

// The batch lies alike in both: its rows are not replicated.
static_assert(!attends<P<data>, P<>> && !attends<P<data>, P<model>>);

// Eight key heads on sixteen devices: over the eight pairs of an axis in two parts, never over all sixteen.
using Pairs = Mesh<Axis<model, 8, 2>>;
template <class Q, class C>
concept attends_on_pairs = detail::attention_is_local<ShardedTensor<f32, Shape<dyn, dyn, 48, 128>, Pairs, Q>,
                                                      ShardedTensor<bf16, Shape<dyn, dyn, 8, 128>, Pairs, C>>;
static_assert(attends_on_pairs<P<None, None, model>, P<None, None, Sub<model, 1, 8>>>);
static_assert(!attends_on_pairs<P<None, None, model>, P<None, None, Sub<model, 8, 2>>>);  // the wrong half
static_assert(!Shardable<Shape<1, 1, 8, 128>, P<None, None, model>, Pairs>);

// A device's query heads are whole groups, or lie within one: 24 over 6 are groups of 4; 6 a device straddle two.
constexpr auto four = mesh_value<Mesh<Axis<model, 4>>>;
constexpr SpecValue by_head = spec_value<P<None, None, model>, Mesh<Axis<model, 4>>, 4>, whole{.rank = 4};
static_assert(rules::attention(four, by_head, whole, 24, 6).fault == rules::AttentionFault::heads_straddle);
static_assert(rules::attention(four, by_head, whole, 24, 2).fault == rules::AttentionFault::none);
static_assert(rules::attention(four, by_head, whole, 24, 8).fault == rules::AttentionFault::none);
static_assert(rules::key_heads_of(four, by_head, whole, 6, 3, 2).first == 4 &&
              rules::key_heads_of(four, by_head, whole, 6, 3, 2).count == 2);
static_assert(rules::key_heads_of(four, by_head, whole, 6, 12, 3).first == 1 &&
              rules::key_heads_of(four, by_head, whole, 6, 12, 3).count == 1);

// Sequence and head width may not be sharded, and nothing may be pending.
static_assert(!attends<P<None, data>, P<None, data>> &&
              !attends<P<None, None, None, model>, P<None, None, None, model>> && !attends<P<Partial<data>>, P<>>);

// The result lies where the queries lie.
static_assert(std::same_as<decltype(attention<f32>(std::declval<Dry&>(), Query<P<data>>{}, Cache<P<data>>{},
                                                   Cache<P<data>>{}, Segments{}, AttentionOptions{})),
                           Query<P<data, None, None, None>>>);

}  // namespace
