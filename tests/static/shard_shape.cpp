// A dimension is cut into as many equal shards as its axes have devices.
// SPDX-License-Identifier: Apache-2.0
#include <tess/sharding/shard_shape.hpp>

#include <concepts>

namespace {

using namespace tess;
struct data;
struct model;
struct expert;
using M = Mesh<Axis<data, 2>, Axis<model, 8>, Axis<expert, 1>>;

template <class S, class Spec, class Local>
concept shards_to = Shardable<S, Spec, M> && std::same_as<shard_shape<S, Spec, M>, Local>;

// Each dimension is divided by the product of the axes on it.
static_assert(shards_to<Shape<8, 6144>, P<data, model>, Shape<4, 768>>);
static_assert(shards_to<Shape<8, 6144>, P<None, Axes<data, model>>, Shape<8, 384>>);

// The order of axes decides which shard a device holds, not how large it is.
static_assert(shards_to<Shape<8, 6144>, P<None, Axes<model, data>>, Shape<8, 384>>);

// What is not named is whole on every device.
static_assert(shards_to<Shape<8, 6144>, P<>, Shape<8, 6144>>);
static_assert(shards_to<Shape<>, P<>, Shape<>>);

// A run-time extent stays one.
static_assert(shards_to<Shape<dyn, 6144>, P<data, model>, Shape<dyn, 768>>);

// An axis of size 1 divides everything, and changes nothing.
static_assert(shards_to<Shape<7, 3>, P<expert>, Shape<7, 3>>);

// A pending sum has the shape of its addends.
static_assert(shards_to<Shape<8, 6144>, P<data, None, Partial<model>>, Shape<4, 6144>>);

// Shards are equal: what does not divide cannot be sharded so.
static_assert(!Shardable<Shape<7>, P<data>, M> && !Shardable<Shape<8>, P<Axes<data, model>>, M>);
static_assert(Shardable<Shape<16>, P<Axes<data, model>>, M> && Shardable<Shape<0>, P<data>, M>);

// A spec has at most one entry a dimension, and Partial is not one.
static_assert(!Shardable<Shape<8>, P<data, None>, M> && Shardable<Shape<8>, P<data, Partial<model>>, M>);
static_assert(!Shardable<Shape<>, P<None>, M>);

// An axis stands in one place of a spec only.
static_assert(!Shardable<Shape<8, 8>, P<data, data>, M> && !Shardable<Shape<8, 8>, P<Axes<data, data>>, M>);
static_assert(!Shardable<Shape<8, 8>, P<data, None, Partial<data>>, M>);

// An axis that the mesh lacks shards nothing.
struct pipeline;
static_assert(!Shardable<Shape<8, 8>, P<pipeline>, M> && !Shardable<Shape<8, 8>, P<Partial<pipeline>>, M>);

// After a fault the shape is the whole one, so that nothing cascades.
static_assert(std::same_as<shard_shape<Shape<7>, P<data>, M>, Shape<7>>);

// What is not a shape, a spec and a mesh is not shardable either; asking is not an error.
static_assert(!Shardable<int, P<>, M> && !Shardable<Shape<8>, None, M> && !Shardable<Shape<8>, P<>, int>);

// Grok-1: 1024 key columns divide over 16 devices; the 8 heads in them do not.
using Wide = Mesh<Axis<data, 1>, Axis<model, 16>>;
static_assert(Shardable<Shape<6144, 1024>, P<data, model>, Wide> && !Shardable<Shape<8>, P<model>, Wide>);

}  // namespace
