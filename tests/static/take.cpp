// Embedding lookups: rows of a sharded table, and the product with all of them.
// SPDX-License-Identifier: Apache-2.0
#include <tess/ops/take.hpp>

#include <concepts>

#include <tess/device/dry.hpp>

namespace {

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;

template <class Spec>
using Ids = ShardedTensor<i32, Shape<dyn, dyn>, M, Spec>;
template <class Spec>
using Table = ShardedTensor<table<bf16>, Shape<64, 16>, M, Spec>;
template <class Spec>
using X = ShardedTensor<f32, Shape<dyn, dyn, 16>, M, Spec>;

template <class I, class T>
using taken = typename decltype(take(std::declval<Dry&>(), std::declval<Table<T>>(), std::declval<Ids<I>>()))::spec;

// Columns of the table become columns of the result, rows of ids its rows.
static_assert(std::same_as<taken<P<>, P<None, model>>, P<None, None, model>>);
static_assert(std::same_as<taken<P<data>, P<None, model>>, P<data, None, model>>);

// Where rows of the table are spread, a device adds zeros for those it lacks: a pending sum.
static_assert(std::same_as<taken<P<data>, P<model>>, P<data, None, None, Partial<model>>>);
static_assert(std::same_as<taken<P<>, P<model, data>>, P<None, None, data, Partial<model>>>);

// The result has the shape of the ids and the width of the table, in f32.
using Result = decltype(take(std::declval<Dry&>(), Table<P<>>{}, Ids<P<>>{}));
static_assert(std::same_as<Result::shape, Shape<dyn, dyn, 16>> && std::same_as<Result::value_type, f32>);

// The product with every row is a matmul with the table transposed.
template <class A, class T>
using logits =
    typename decltype(matmul_rows(std::declval<Dry&>(), std::declval<X<A>>(), std::declval<Table<T>>()))::spec;
static_assert(std::same_as<logits<P<data>, P<model>>, P<data, None, model>>);
static_assert(std::same_as<logits<P<data, None, model>, P<None, model>>, P<data, None, None, Partial<model>>>);

// Where x has to lie for it.
static_assert(std::same_as<row_contracting_spec<X<P<data>>, Table<P<None, Axes<data, model>>>>,
                           P<None, None, Axes<data, model>>>);

}  // namespace
