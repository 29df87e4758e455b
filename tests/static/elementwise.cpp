// Functions of elements: operands meet where they lie, and only what commutes with a pending value acts on it.
// SPDX-License-Identifier: Apache-2.0
#include <tess/ops/elementwise.hpp>

#include <concepts>

#include <tess/device/dry.hpp>
#include <tess/ops/create.hpp>
#include <tess/ops/reduction.hpp>

namespace {

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;

template <class Spec, class S = Shape<8, 16>, class T = f32>
using X = ShardedTensor<T, S, M, Spec>;
template <class F, class... Operands>
concept applies = Mappable<F, Operands...>;
/// The spec of a + b.
template <class A, class B>
using sum_of = typename decltype(add(std::declval<Dry&>(), std::declval<A>(), std::declval<B>()))::spec;

// A cast changes the element type and nothing else; to the same type it is free.
static_assert(
    std::same_as<decltype(cast<bf16>(std::declval<Dry&>(), X<P<data>>{})), X<P<data, None>, Shape<8, 16>, bf16>>);
static_assert(std::same_as<decltype(cast<f32>(std::declval<Dry&>(), X<P<data>>{})), X<P<data>>>);

// Operands of one spec, however it is written, keep it.
static_assert(std::same_as<sum_of<X<P<data>>, X<P<Axes<data>, None>>>, P<data, None>>);

// One finer than the other: the result is the finer, since a device has what it needs of the coarser one.
static_assert(std::same_as<sum_of<X<P<>>, X<P<data>>>, P<data, None>>);
static_assert(std::same_as<sum_of<X<P<data>>, X<P<Axes<data, model>>>>, P<Axes<data, model>, None>>);
static_assert(std::same_as<sum_of<X<P<data>>, X<P<None, model>>>, P<data, model>>);

// Two axes in one dimension, of which neither is the major part of the other: elements would have to move.
static_assert(!applies<fn::Add, X<P<data>>, X<P<model>>>);
static_assert(!applies<fn::Add, X<P<Axes<data, model>>>, X<P<Axes<model, data>>>>);
static_assert(!applies<fn::Add, X<P<Axes<data, model>>>, X<P<model>>>);

// One axis in two dimensions: no device would have a whole row, nor a whole column.
static_assert(!applies<fn::Add, X<P<data>>, X<P<None, data>>>);

// An axis of size 1 has nothing to say: it neither refuses nor refines.
using Thin = Mesh<Axis<data, 1>, Axis<model, 4>>;
template <class Spec>
using Y = ShardedTensor<f32, Shape<8, 16>, Thin, Spec>;
static_assert(applies<fn::Add, Y<P<data>>, Y<P<model>>> && applies<fn::Add, Y<P<data>>, Y<P<None, data>>>);
static_assert(std::same_as<sum_of<Y<P<data>>, Y<P<model>>>, P<model, None>>);

// A part of an axis is coarser than the axis.
using Parts = Mesh<Axis<model, 2, 4>>;
static_assert(std::same_as<sum_of<ShardedTensor<f32, Shape<8, 16>, Parts, P<Sub<model, 1, 2>>>,
                                  ShardedTensor<f32, Shape<8, 16>, Parts, P<model>>>,
                           P<model, None>>);
static_assert(!applies<fn::Add, ShardedTensor<f32, Shape<8, 16>, Parts, P<Sub<model, 2, 4>>>,
                       ShardedTensor<f32, Shape<8, 16>, Parts, P<model>>>);

// Shapes are aligned at the last dimension, and extents of 1 stretch; dyn goes with every extent but 1.
static_assert(std::same_as<sum_of<X<P<data>>, X<P<model>, Shape<16>>>, P<data, model>>);
static_assert(std::same_as<sum_of<X<P<data>, Shape<8, 1>>, X<P<None, model>, Shape<1, 16>>>, P<data, model>>);
static_assert(!applies<fn::Add, X<P<>>, X<P<>, Shape<8, 8>>> && applies<fn::Add, X<P<>>, X<P<>, Shape<dyn, 16>, bf16>>);

// f(a + b) is not f(a) + f(b), unless it is.
template <class Spec = P<data, None, Partial<model>>>
using Pending = X<Spec>;
static_assert(!applies<fn::Exp, Pending<>> && !applies<fn::Maximum, Pending<>, Pending<>>);
static_assert(applies<fn::Negate, Pending<>> && applies<fn::Times<f32>, Pending<>> &&
              !applies<fn::Plus<f32>, Pending<>>);
static_assert(std::same_as<sum_of<Pending<>, Pending<>>, P<data, None, Partial<model>>>);

// Two addends, or none: what is finished would be added by every device. And over the same axes.
static_assert(!applies<fn::Add, Pending<>, X<P<data>>> && !applies<fn::Subtract, X<P<data>>, Pending<>>);
static_assert(!applies<fn::Add, X<P<Partial<data>>>, X<P<Partial<model>>>>);

// One factor, the other whole along its axes; the numerator, never the denominator.
static_assert(applies<fn::Multiply, Pending<>, X<P<data>>> && applies<fn::Multiply, X<P<>>, Pending<>>);
static_assert(!applies<fn::Multiply, Pending<>, Pending<>> && !applies<fn::Multiply, Pending<>, X<P<model>>>);
static_assert(applies<fn::Divide, Pending<>, X<P<data>>> && !applies<fn::Divide, X<P<data>>, Pending<>>);
static_assert(applies<fn::Multiply, X<P<Partial<data>>>, X<P<Partial<model>>>>);  // each whole along the other's axis

// Other precision, yes; integers, no: each part would lose its fraction.
static_assert(applies<fn::Convert<bf16, f32>, Pending<>> && !applies<fn::Convert<i32, f32>, Pending<>>);

// A pending maximum passes what never falls, and turns into a minimum where it never rises.
using Largest = X<P<data, None, PartialMax<model>>>;
using Smallest = X<P<data, None, PartialMin<model>>>;
static_assert(applies<fn::Exp, Largest> && applies<fn::Convert<i32, f32>, Largest> &&
              !applies<fn::Times<f32>, Largest>);
static_assert(std::same_as<decltype(neg(std::declval<Dry&>(), Largest{}))::spec, Smallest::spec>);
static_assert(applies<fn::Maximum, Largest, Largest> && !applies<fn::Minimum, Largest, Largest>);
static_assert(!applies<fn::Add, Largest, Largest> && applies<fn::Add, Largest, X<P<data>>>);
static_assert(!applies<fn::Maximum, Largest, Smallest> && !applies<fn::Add, Largest, Pending<>>);

// Marks agree, since gradients are summed where they say; a number has every mark, and a pending factor its own axes'.
template <class Spec = P<data, None, Reduced<model>>>
using Marked = X<Spec>;
static_assert(applies<fn::Add, Marked<>, Marked<>> && !applies<fn::Add, Marked<>, X<P<data>>>);
static_assert(applies<fn::Multiply, Marked<>, X<P<>, Shape<>>> && applies<fn::Exp, Marked<>>);
static_assert(std::same_as<decltype(mul(std::declval<Dry&>(), Pending<>{}, Marked<>{}))::spec, Pending<>::spec>);
static_assert(applies<fn::Where, X<P<>, Shape<8, 16>, i32>, Marked<>, Marked<>>);  // a mask has no gradient

// A function of yours is opaque: it is not asked about what it cannot promise.
constexpr auto square = [](f32 v) { return v * v; };
static_assert(applies<decltype(square), X<P<data>>> && !applies<decltype(square), Pending<>>);

// A reduction over a sharded dimension is pending; of pending values it takes its own kind.
template <class T>
using row_sum = typename decltype(sum<1>(std::declval<Dry&>(), std::declval<T>()))::spec;
static_assert(std::same_as<row_sum<X<P<data, model>>>, P<data, Partial<model>>>);
static_assert(std::same_as<row_sum<X<P<None, model, Partial<data>>>>, P<None, Partial<data, model>>>);
template <class T, rules::Fold F>
concept reduces = std::same_as<detail::reduction_fact<T, F, false, 1>, nothing_wrong>;
static_assert(reduces<Pending<>, rules::Fold::sum> && !reduces<Pending<>, rules::Fold::max>);
static_assert(reduces<Largest, rules::Fold::max> && !reduces<Largest, rules::Fold::sum> &&
              !reduces<Largest, rules::Fold::min>);
static_assert(reduces<X<P<data>>, rules::Fold::whole> && !reduces<X<P<None, model>>, rules::Fold::whole>);
static_assert(!std::same_as<detail::reduction_fact<X<P<>>, rules::Fold::sum, false, 2>, nothing_wrong>);

// Functions of whole rows need the last dimension unsharded; an axis of size 1 does not shard.
template <class T>
concept has_whole_rows = std::same_as<detail::rows_fact<T>, nothing_wrong>;
static_assert(has_whole_rows<X<P<data>>> && !has_whole_rows<X<P<None, model>>> && !has_whole_rows<X<P<Partial<data>>>>);
static_assert(has_whole_rows<ShardedTensor<f32, Shape<8, 16>, Mesh<Axis<model, 1>>, P<None, model>>>);

}  // namespace
