// The typing rule of a product: contracted dimensions are sharded alike, and the sum over the shards stays pending.
// SPDX-License-Identifier: Apache-2.0
#include <tess/ops/matmul.hpp>

#include <concepts>

#include <tess/device/dry.hpp>

namespace {

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;

template <class Spec, class S = Shape<8, 16>, class T = f32>
using X = ShardedTensor<T, S, M, Spec>;
template <class Spec, class S = Shape<16, 32>, class T = f32>
using W = ShardedTensor<T, S, M, Spec>;
template <class A, class B>
using product = decltype(matmul(std::declval<Dry&>(), std::declval<A>(), std::declval<B>()));

/// X [8, 16] under one spec times W [16, 32] under another has this spec, and no byte moves.
template <class Lhs, class Rhs, class Result>
concept gives = MatmulCompatible<X<Lhs>, W<Rhs>> && std::same_as<typename product<X<Lhs>, W<Rhs>>::spec, Result>;

// Unsharded operands give an unsharded product.
static_assert(gives<P<>, P<>, P<None, None>>);

// Rows keep their axes: data parallelism.
static_assert(gives<P<data>, P<>, P<data, None>>);
static_assert(gives<P<Axes<data, model>>, P<>, P<Axes<data, model>, None>>);

// Columns of the weight become columns of the product: column parallelism.
static_assert(gives<P<>, P<None, model>, P<None, model>>);
static_assert(gives<P<data>, P<None, model>, P<data, model>>);
static_assert(gives<P<>, P<None, Axes<model, data>>, P<None, Axes<model, data>>>);

// An axis on both contracted dimensions leaves a pending sum: row parallelism.
static_assert(gives<P<None, model>, P<model>, P<None, None, Partial<model>>>);
static_assert(gives<P<data, model>, P<model>, P<data, None, Partial<model>>>);
static_assert(gives<P<None, model>, P<model, data>, P<None, data, Partial<model>>>);
static_assert(gives<P<None, Axes<data, model>>, P<Axes<data, model>>, P<None, None, Partial<data, model>>>);

// One-sided sharding of the contracted dimension would need a hidden all-gather: refused.
static_assert(!MatmulCompatible<X<P<None, model>>, W<P<>>> && !MatmulCompatible<X<P<>>, W<P<model>>>);

// So is another axis, or another order of the same ones.
static_assert(!MatmulCompatible<X<P<None, model>>, W<P<data>>>);
static_assert(!MatmulCompatible<X<P<None, Axes<data, model>>>, W<P<Axes<model, data>>>>);

// An axis may not appear twice in the product.
static_assert(!MatmulCompatible<X<P<model>>, W<P<None, model>>> && !MatmulCompatible<X<P<data>>, W<P<None, data>>>);
static_assert(!MatmulCompatible<X<P<data, model>>, W<P<model, data>>>);

// A pending sum cannot be multiplied, on either side.
static_assert(!MatmulCompatible<X<P<Partial<data>>>, W<P<>>> && !MatmulCompatible<X<P<>>, W<P<Partial<data>>>>);

// Contracted extents must be equal, as far as they are known.
static_assert(!MatmulCompatible<X<P<>, Shape<8, 16>>, W<P<>, Shape<17, 32>>>);
static_assert(MatmulCompatible<X<P<>, Shape<8, dyn>>, W<P<>>> && MatmulCompatible<X<P<>>, W<P<>, Shape<dyn, dyn>>>);

// The operands live on one mesh.
using Other = Mesh<Axis<data, 2>, Axis<model, 2>>;
static_assert(!MatmulCompatible<X<P<>>, ShardedTensor<f32, Shape<16, 32>, Other, P<>>>);

// The product has the rows of the one and the columns of the other, in f32 unless another type is asked for.
static_assert(std::same_as<product<X<P<>, Shape<dyn, 8, 16>, bf16>, W<P<>, Shape<16, 32>, packed<q8<1>>>>,
                           ShardedTensor<f32, Shape<dyn, 8, 32>, M, P<None, None, None>>>);
static_assert(std::same_as<decltype(matmul<bf16>(std::declval<Dry&>(), X<P<>>{}, W<P<>>{}))::value_type, bf16>);

// contracting_spec: where activations have to lie for a weight that stays at rest. Its axes leave every other dimension.
template <class From, class Rhs, class To>
concept contracts_at = std::same_as<contracting_spec<X<From>, W<Rhs>>, To> && MatmulCompatible<X<To>, W<Rhs>>;
static_assert(contracts_at<P<data>, P<>, P<data, None>>);
static_assert(contracts_at<P<data>, P<model>, P<data, model>>);
static_assert(contracts_at<P<data>, P<data, model>, P<None, data>>);
static_assert(contracts_at<P<data, model>, P<model, data>, P<None, model>>);
static_assert(contracts_at<P<Partial<data>>, P<>, P<None, None>>);

}  // namespace
