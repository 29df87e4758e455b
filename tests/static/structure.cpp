// Structural operations: which spec the result has. What works along a dimension needs it whole; everything else stays.
// SPDX-License-Identifier: Apache-2.0
#include <tess/ops/concatenate.hpp>
#include <tess/ops/dynamic_slice.hpp>
#include <tess/ops/one_hot.hpp>
#include <tess/ops/pad.hpp>
#include <tess/ops/slice.hpp>
#include <tess/ops/sort.hpp>
#include <tess/ops/transpose.hpp>

#include <concepts>

#include <tess/device/trace.hpp>

namespace {

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;

template <class S, class Spec, class T = f32>
using X = ShardedTensor<T, S, M, Spec>;
using B = X<Shape<dyn, 8, 16>, P<data, None, model>>;  // [B, 8, 16]
template <class = void>
Dry& dev();

// transpose: axes go with their dimensions, pending values stay pending.
static_assert(std::same_as<decltype(transpose<2, 0, 1>(dev(), B{})), X<Shape<16, dyn, 8>, P<model, data, None>>>);
static_assert(std::same_as<decltype(transpose<1, 0>(dev(), X<Shape<4, 8>, P<data, None, PartialMin<model>>>{})),
                           X<Shape<8, 4>, P<None, data, PartialMin<model>>>>);

// A slice keeps the spec; the dimension is whole, or each device finds its part in its own shard.
static_assert(std::same_as<decltype(slice<1, 2, 6>(dev(), B{})), X<Shape<dyn, 4, 16>, P<data, None, model>>>);
static_assert(std::same_as<decltype(slice<2, 0, 16, 2>(dev(), B{})), X<Shape<dyn, 8, 8>, P<data, None, model>>>);
template <index_t Start, index_t Limit, index_t Stride = 1>
inline constexpr bool sliced_where_it_lies =
    std::same_as<detail::slicing_fact<operations::slice, X<Shape<4, 16>, P<None, data>>, 1, Start, Limit, Stride>,
                 nothing_wrong>;
static_assert(sliced_where_it_lies<0, 16> && sliced_where_it_lies<6, 10> && sliced_where_it_lies<1, 16, 2>);
static_assert(!sliced_where_it_lies<0, 8> && !sliced_where_it_lies<6, 12> && !sliced_where_it_lies<0, 16, 16>);
// Of an extent that only run time tells, the end is known to be the end, and nothing else.
static_assert(std::same_as<detail::slicing_fact<operations::slice, B, 0, 0, dyn, 1>, nothing_wrong>);
static_assert(!std::same_as<detail::slicing_fact<operations::slice, B, 0, 0, 4, 1>, nothing_wrong>);

// index drops its dimension, split and unstack are slices.
static_assert(std::same_as<decltype(index<1>(dev(), B{}, -1)), X<Shape<dyn, 16>, P<data, model>>>);
static_assert(
    std::same_as<decltype(std::get<1>(split<1, 3, 5>(dev(), B{}))), X<Shape<dyn, 5, 16>, P<data, None, model>>&&>);
static_assert(std::same_as<decltype(unstack<1>(dev(), B{})), std::array<X<Shape<dyn, 16>, P<data, model>>, 8>>);

// A window keeps the axes of the dimensions that it takes whole; an update may also go to a sharded dimension.
using C = X<Shape<4, 8, 16>, P<data, None, model>>;
static_assert(std::same_as<decltype(dynamic_slice<Shape<4, 2, 16>>(dev(), C{}, {0, 3, 0})),
                           X<Shape<4, 2, 16>, P<data, None, model>>>);
static_assert(std::same_as<decltype(dynamic_update_slice(dev(), C{}, X<Shape<1, 2, 16>, P<>>{}, {3, 5, 0})), C>);
static_assert(
    std::same_as<decltype(dynamic_update_slice(dev(), X<Shape<4, 8>, P<>>{}, X<Shape<4, 2>, P<data>>{}, {0, 5})),
                 X<Shape<4, 8>, P<data, None>>>);

// Joined tensors meet in the finer spec; what is new is not sharded.
static_assert(std::same_as<decltype(concatenate<1>(dev(), C{}, X<Shape<4, 3, 16>, P<>>{})),
                           X<Shape<4, 11, 16>, P<data, None, model>>>);
static_assert(std::same_as<decltype(stack<0>(dev(), X<Shape<8>, P<data>>{}, X<Shape<8>, P<Axes<data, model>>>{})),
                           X<Shape<2, 8>, P<None, Axes<data, model>>>>);
static_assert(std::same_as<decltype(concatenate<1>(dev(), X<Shape<4, 8>, P<data, None, Partial<model>>>{},
                                                   X<Shape<4, 8>, P<data, None, Partial<model>>>{})),
                           X<Shape<4, 16>, P<data, None, Partial<model>>>>);

// Copies of an element stay where it is, so that repeat goes along a sharded dimension, and tile does not.
static_assert(std::same_as<decltype(repeat<2, 6>(dev(), B{})), X<Shape<dyn, 8, 96>, P<data, None, model>>>);
static_assert(std::same_as<decltype(tile<1, 6>(dev(), B{})), X<Shape<dyn, 48, 16>, P<data, None, model>>>);

// Padding is in the type, and never silent.
static_assert(
    std::same_as<decltype(pad_to_multiple<1, 4>(dev(), X<Shape<2, 25>, P<>>{})), X<Shape<2, 28>, P<None, None>>>);
static_assert(std::same_as<decltype(pad<1, 1, 2, 3>(dev(), B{})), X<Shape<dyn, 32, 16>, P<data, None, model>>>);
static_assert(std::same_as<decltype(pad<1, 0, 8>(dev(), X<Shape<4, 8>, P<None, None, Partial<data>>>{})),
                           X<Shape<4, 16>, P<None, None, Partial<data>>>>);

// Lines are sorted, searched and added up where they are whole; across devices by compositions with a bill.
static_assert(std::same_as<decltype(sort<1>(dev(), B{})), B> &&
              std::same_as<decltype(argsort<1>(dev(), B{})), with_type<B, i32>>);
static_assert(std::same_as<decltype(top_k<1, 2>(dev(), B{}).values), X<Shape<dyn, 2, 16>, P<data, None, model>>>);
static_assert(
    std::same_as<decltype(top_k_sharded<2, 2>(dev(), B{}).indices), X<Shape<dyn, 8, 2>, P<data, None, None>, i32>>);
static_assert(std::same_as<decltype(cumsum_sharded<2>(dev(), B{})), B>);

// The vocabulary over 4 devices, 131072 logits in f32: the 40 largest cost each device 3 · 40 candidates of 8 bytes,
// where gathering the logits costs 3/4 of 512 KiB.
using Logits = X<Shape<1, 131072>, P<None, model>>;
static_assert(trace([](Dry& d, const Logits& x) { return top_k_sharded<1, 40>(d, x); }, Logits{}).bytes == 3 * 40 * 8);
static_assert(trace([](Dry& d, const Logits& x) { return top_k<1, 40>(d, gather<1>(d, x)); }, Logits{}).bytes ==
              3 * 131072);

// One row a token, sharded as the tokens.
static_assert(std::same_as<decltype(one_hot<8>(dev(), X<Shape<dyn, 4>, P<data>, i32>{})),
                           X<Shape<dyn, 4, 8>, P<data, None, None>>>);

// All of it works on an axis of size 1 as on none.
using Alone = Mesh<Axis<data, 1>>;
using One = ShardedTensor<f32, Shape<4, 8>, Alone, P<data, None>>;
static_assert(std::same_as<decltype(sort<0>(dev(), One{})), One> &&
              std::same_as<decltype(slice<0, 0, 4>(dev(), One{})), One>);

}  // namespace
