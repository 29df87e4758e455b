// reshape, split, merge, expand_dims, squeeze: other extents for the same elements; every device keeps its bytes.
// SPDX-License-Identifier: Apache-2.0
#include <tess/ops/reshape.hpp>

#include <concepts>

#include <tess/device/dry.hpp>

namespace {

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;

template <class S, class Spec>
using X = ShardedTensor<f32, S, M, Spec>;

// Splitting a dimension leaves its axes on the outer part: whole heads on a device.
using Joined = X<Shape<dyn, 16, 1024>, P<data, None, model>>;
using Heads = decltype(split<2, 8, 128>(Joined{}, 8));
static_assert(std::same_as<Heads, X<Shape<dyn, 16, 8, 128>, P<data, None, model, None>>>);

// It is local when the axes divide the outer part.
static_assert(detail::split_is_local<Joined, 2, 8>() && detail::split_is_local<Joined, 2, 4>());
static_assert(!detail::split_is_local<Joined, 2, 2>() && !detail::split_is_local<Joined, 2, 6>());
static_assert(detail::split_is_local<Joined, 1, 4>() && !detail::split_is_local<Joined, 1, 3>());

// Of two axes the outer part takes the major one, and the inner part the other: JAX's rule, and exact.
using Both = X<Shape<16>, P<Axes<data, model>>>;
static_assert(std::same_as<decltype(split<0, 2, 8>(Both{}, 2)), X<Shape<2, 8>, P<data, model>>>);
static_assert(std::same_as<decltype(split<0, 8, 2>(Both{}, 8)), X<Shape<8, 2>, P<Axes<data, model>, None>>>);
static_assert(!detail::split_is_local<Both, 0, 4>());

// Grok-1: 8 key/value heads on a model axis of 16 are not whole on any device, although their 1024 columns divide.
using Wide = ShardedTensor<f32, Shape<1, 1, 1024>, Mesh<Axis<model, 16>>, P<None, None, model>>;
static_assert(!detail::split_is_local<Wide, 2, 8>() && detail::split_is_local<Wide, 2, 16>());
// In parts, 8 pairs of 2, each head is on a pair of devices, of which each has half of its 128 columns.
using Pairs = Mesh<Axis<model, 8, 2>>;
static_assert(
    std::same_as<decltype(split<2, 8, 128>(ShardedTensor<f32, Shape<1, 1, 1024>, Pairs, P<None, None, model>>{}, 8)),
                 ShardedTensor<f32, Shape<1, 1, 8, 128>, Pairs, P<None, None, Sub<model, 1, 8>, Sub<model, 8, 2>>>>);

// Merging is the inverse: split, then merge, is the identity on types.
static_assert(std::same_as<decltype(merge<2>(Heads{})), Joined>);
static_assert(std::same_as<decltype(merge<0>(X<Shape<dyn, 4>, P<data, None>>{})), X<Shape<dyn>, P<data>>>);
static_assert(std::same_as<decltype(merge<0>(split<0, 2, 8>(Both{}, 2))), Both>);

// Two sharded dimensions merge where a device has one entry of the first; JAX types an all-to-all where it has more.
static_assert(detail::merge_is_local<X<Shape<2, 8>, P<data, model>>, 0>());
static_assert(!detail::merge_is_local<X<Shape<4, 8>, P<data, model>>, 0>());

// The general rule: new dimensions are read off the digits of the old ones, mesh axes and local extents.
static_assert(
    std::same_as<decltype(reshape<Shape<4, 2>>(X<Shape<2, 4>, P<data, None>>{})), X<Shape<4, 2>, P<data, None>>>);
static_assert(std::same_as<decltype(reshape<Shape<6, 8, 2>>(X<Shape<2, 3, 16>, P<data, None, model>>{})),
                           X<Shape<6, 8, 2>, P<data, model, None>>>);
static_assert(rules::reshape(mesh_value<M>, rules::shape_value<Shape<4, 16>>, spec_value<P<data, model>, M, 2>,
                             rules::shape_value<Shape<64>>)
                  .fault == rules::ReshapeFault::not_local);
static_assert(rules::reshape(mesh_value<M>, rules::shape_value<Shape<4, 16>>, spec_value<P<data, model>, M, 2>,
                             rules::shape_value<Shape<8, 9>>)
                  .fault == rules::ReshapeFault::sizes_differ);

// Extents of run time: the axes stay where the numbers prove it. Sequences [B, T, D] as rows, and heads.
using Sequences = X<Shape<dyn, dyn, 1024>, P<data, None, model>>;
static_assert(std::same_as<decltype(reshape<Shape<dyn, 1024>>(Sequences{})), X<Shape<dyn, 1024>, P<data, model>>>);
static_assert(std::same_as<decltype(reshape(Sequences{}, Extents<Shape<dyn, dyn, 8, 128>>(0, 0))),
                           X<Shape<dyn, dyn, 8, 128>, P<data, None, model, None>>>);
// Where they do not, it is said: is it [B, T, D] with D over `model` again, or is T now what D was?
static_assert(rules::reshape(mesh_value<M>, rules::shape_value<Shape<dyn, dyn, dyn>>,
                             spec_value<P<data, None, model>, M, 3>, rules::shape_value<Shape<dyn, dyn, dyn>>)
                  .fault == rules::ReshapeFault::not_known);

// An axis of size 1 keeps its place, although it places nothing.
using Alone = Mesh<Axis<data, 1>, Axis<model, 4>>;
static_assert(std::same_as<
              decltype(reshape<Shape<4, 3, 8, 8>>(ShardedTensor<f32, Shape<4, 3, 64>, Alone, P<data, None, model>>{})),
              ShardedTensor<f32, Shape<4, 3, 8, 8>, Alone, P<data, None, model, None>>>);

// A pending sum passes through, of every kind.
static_assert(
    std::same_as<decltype(split<0, 2, 4>(X<Shape<8>, P<Partial<model>>>{}, 2))::spec, P<None, None, Partial<model>>>);
static_assert(std::same_as<decltype(reshape<Shape<2, 4>>(X<Shape<8>, P<data, PartialMax<model>>>{}))::spec,
                           P<data, None, PartialMax<model>>>);

// expand_dims and squeeze are inverse.
static_assert(
    std::same_as<decltype(expand_dims<1>(X<Shape<4, 8>, P<data, model>>{})), X<Shape<4, 1, 8>, P<data, None, model>>>);
static_assert(std::same_as<decltype(squeeze<0, 2>(expand_dims<0>(expand_dims<1>(X<Shape<4, 8>, P<data, model>>{})))),
                           X<Shape<4, 8>, P<data, model>>>);

}  // namespace
