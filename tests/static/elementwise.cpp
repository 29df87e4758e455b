// Functions of elements keep the spec; they want operands that lie alike, and no pending sum.
// SPDX-License-Identifier: Apache-2.0
#include <tess/ops/elementwise.hpp>

#include <concepts>

#include <tess/device/dry.hpp>

namespace {

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;

template <class Spec, class S = Shape<8, 16>, class T = f32>
using X = ShardedTensor<T, S, M, Spec>;
template <class A, class B>
concept addable = std::same_as<detail::map_fact<A, B>, nothing_wrong>;

// A cast changes the element type and nothing else; to the same type it is free.
static_assert(
    std::same_as<decltype(cast<bf16>(std::declval<Dry&>(), X<P<data>>{})), X<P<data, None>, Shape<8, 16>, bf16>>);
static_assert(std::same_as<decltype(cast<f32>(std::declval<Dry&>(), X<P<data>>{})), X<P<data>>>);

// Operands of one spec, however it is written.
static_assert(addable<X<P<data>>, X<P<data>>> && addable<X<P<data>>, X<P<Axes<data>, None>>>);
static_assert(std::same_as<decltype(add(std::declval<Dry&>(), X<P<data>>{}, X<P<data, None>>{}))::spec, P<data, None>>);

// Not of different specs, even if the elements would be at hand.
static_assert(!addable<X<P<data>>, X<P<>>> && !addable<X<P<>>, X<P<data>>> &&
              !addable<X<P<Axes<data, model>>>, X<P<data>>>);

// f(a + b) is not f(a) + f(b): a pending sum is finished first.
static_assert(!addable<X<P<Partial<data>>>, X<P<Partial<data>>>> && !addable<X<P<>>, X<P<Partial<data>>>>);

// Shapes are equal, as far as they are known; element types may differ.
static_assert(!addable<X<P<>>, X<P<>, Shape<8, 8>>> && !addable<X<P<>>, X<P<>, Shape<16>>>);
static_assert(addable<X<P<>>, X<P<>, Shape<dyn, 16>, bf16>>);

// Functions of whole rows need the last dimension unsharded; an axis of size 1 does not shard.
template <class T>
concept has_whole_rows = std::same_as<detail::rows_fact<T>, nothing_wrong>;
static_assert(has_whole_rows<X<P<data>>> && !has_whole_rows<X<P<None, model>>> && !has_whole_rows<X<P<Partial<data>>>>);
static_assert(has_whole_rows<ShardedTensor<f32, Shape<8, 16>, Mesh<Axis<model, 1>>, P<None, model>>>);

}  // namespace
