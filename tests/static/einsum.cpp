// The typing rule of contractions with any labels: what is local is accepted, and every result is in local_specs.
// SPDX-License-Identifier: Apache-2.0
#include <tess/ops/einsum.hpp>

#include <concepts>

#include <tess/device/dry.hpp>

namespace {

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;

template <class Spec, class S>
using T = ShardedTensor<f32, S, M, Spec>;
template <class L, class R, class O, class X, class W>
concept Local = std::same_as<tess::detail::product_fact<tess::detail::Equation<L, R, O>, X, W>, nothing_wrong>;
template <class L, class R, class O, class X, class W>
using product = decltype(einsum<L, R, O>(std::declval<Dry&>(), std::declval<X>(), std::declval<W>()));

// ---- "mk,kn->mn"
using mk = Labels<'m', 'k'>;
using kn = Labels<'k', 'n'>;
using mn = Labels<'m', 'n'>;
template <class X, class W, class Y>
concept gives = Local<mk, kn, mn, T<X, Shape<8, 16>>, T<W, Shape<16, 32>>> &&
    std::same_as<typename product<mk, kn, mn, T<X, Shape<8, 16>>, T<W, Shape<16, 32>>>::spec, Y>;
template <class X, class W>
concept refused = !Local<mk, kn, mn, T<X, Shape<8, 16>>, T<W, Shape<16, 32>>>;

// Free dimensions keep their axes.
static_assert(gives<P<data>, P<None, model>, P<data, model>>);

// Summed dimensions leave a pending sum, sharded in both operands or in one: the other is sliced where it lies.
static_assert(gives<P<None, model>, P<model>, P<None, None, Partial<model>>>);
static_assert(gives<P<data, model>, P<>, P<data, None, Partial<model>>>);
static_assert(gives<P<>, P<model, data>, P<None, data, Partial<model>>>);

// One finer than the other: the finer one. In another order, or over other axes, something would have to move.
static_assert(gives<P<None, data>, P<Axes<data, model>>, P<None, None, Partial<data, model>>>);
static_assert(refused<P<None, data>, P<Axes<model, data>>> && refused<P<None, data>, P<model>>);

// An axis shards one label only.
static_assert(refused<P<data>, P<None, data>> && refused<P<data>, P<data>> && refused<P<None, model>, P<None, model>>);

// A product is linear in each operand: a pending sum stays one, if the other is finished and whole along its axes.
static_assert(gives<P<Partial<data>>, P<None, model>, P<None, model, Partial<data>>>);
static_assert(gives<P<None, model, Partial<data>>, P<model>, P<None, None, Partial<data, model>>>);
static_assert(gives<P<>, P<Partial<data>>, P<None, None, Partial<data>>>);
static_assert(refused<P<Partial<data>>, P<None, data>> && refused<P<Partial<data>>, P<data>>);

// Of sums pending over different axes the devices hold every product of addends; over one axis they do not.
static_assert(gives<P<Partial<data>>, P<Partial<model>>, P<None, None, Partial<data, model>>>);
static_assert(refused<P<Partial<data>>, P<Partial<data>>>);

// It is not linear in a maximum.
static_assert(refused<P<PartialMax<data>>, P<>> && refused<P<>, P<PartialMin<model>>>);

// The mark Reduced is for gradients: the value is whole.
static_assert(gives<P<Partial<data>>, P<Reduced<data>>, P<None, None, Partial<data>>>);
static_assert(gives<P<Reduced<model>>, P<None, model>, P<None, model>>);

// ---- attention: scores "bthd,bThd->bhtT", a batch dimension sharded in one operand only slices the other
using Q = Labels<'b', 't', 'h', 'd'>;
using K = Labels<'b', 'T', 'h', 'd'>;
using Scores = Labels<'b', 'h', 't', 'T'>;
using Heads = Shape<4, 8, 4, 16>;
static_assert(std::same_as<product<Q, K, Scores, T<P<data, None, model>, Heads>, T<P<data, None, model>, Heads>>::spec,
                           P<data, model, None, None>>);
static_assert(std::same_as<product<Q, K, Scores, T<P<data, None, model>, Heads>, T<P<>, Heads>>::spec,
                           P<data, model, None, None>>);
static_assert(!Local<Q, K, Scores, T<P<data>, Heads>, T<P<model>, Heads>>);
static_assert(!Local<Q, K, Scores, T<P<data>, Heads>, T<P<None, data>, Heads>>);

// ---- an axis in parts: each part is an axis of its own
using Parts = Mesh<Axis<data, 2>, Axis<model, 2, 2>>;
using pairs = Sub<model, 1, 2>;
template <class Spec, class S>
using U = ShardedTensor<f32, S, Parts, Spec>;
static_assert(std::same_as<product<mk, kn, mn, U<P<None, pairs>, Shape<8, 16>>, U<P<model>, Shape<16, 32>>>::spec,
                           P<None, None, Partial<model>>>);
static_assert(
    std::same_as<product<mk, kn, mn, U<P<pairs>, Shape<8, 16>>, U<P<None, Sub<model, 2, 2>>, Shape<16, 32>>>::spec,
                 P<pairs, Sub<model, 2, 2>>>);

// ---- an axis of size 1 is a name in the result, and never a reason to refuse
using Thin = Mesh<Axis<data, 1>, Axis<model, 4>>;
template <class Spec, class S>
using V = ShardedTensor<f32, S, Thin, Spec>;
static_assert(
    std::same_as<product<mk, kn, mn, V<P<data>, Shape<8, 16>>, V<P<None, data>, Shape<16, 32>>>::spec, P<data, None>>);
static_assert(std::same_as<product<mk, kn, mn, V<P<None, data>, Shape<8, 16>>, V<P<model>, Shape<16, 32>>>::spec,
                           P<None, None, Partial<model>>>);

// ---- dot_general: batch, left free, right free; numbers or labels, the same type
using A = T<P<data, None, model>, Shape<4, 8, 16>>;
using B = T<P<data, model>, Shape<4, 16, 32>>;
using ByNumber =
    decltype(dot_general<Contract<Dims<2>, Dims<1>>, Batch<Dims<0>, Dims<0>>>(std::declval<Dry&>(), A{}, B{}));
static_assert(
    std::same_as<ByNumber, product<Labels<'b', 'm', 'k'>, Labels<'b', 'k', 'n'>, Labels<'b', 'm', 'n'>, A, B>>);
static_assert(std::same_as<ByNumber, T<P<data, None, None, Partial<model>>, Shape<4, 8, 32>>>);
static_assert(std::same_as<decltype(dot_general<Contract<>>(std::declval<Dry&>(), T<P<data>, Shape<4>>{},
                                                            T<P<model>, Shape<8>>{})),
                           T<P<data, model>, Shape<4, 8>>>);

}  // namespace
