// split and merge: reshapes of neighbouring dimensions that move nothing.
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
static_assert(detail::split_is_local<Joined, 1, 3>());

// Grok-1: 8 key/value heads on a model axis of 16 are not whole on any device, although their 1024 columns divide.
using Wide = ShardedTensor<f32, Shape<1, 1, 1024>, Mesh<Axis<model, 16>>, P<None, None, model>>;
static_assert(!detail::split_is_local<Wide, 2, 8>() && detail::split_is_local<Wide, 2, 16>());

// Merging is the inverse: split, then merge, is the identity on types.
static_assert(std::same_as<decltype(merge<2>(Heads{})), Joined>);
static_assert(std::same_as<decltype(merge<0>(X<Shape<dyn, 4>, P<data>>{})), X<Shape<dyn>, P<data>>>);

// A pending sum passes through.
static_assert(
    std::same_as<decltype(split<0, 2, 4>(X<Shape<8>, P<Partial<model>>>{}, 2))::spec, P<None, None, Partial<model>>>);

}  // namespace
