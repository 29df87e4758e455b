// A reshard is a chain of collectives that the compiler finds; with each its price.
// SPDX-License-Identifier: Apache-2.0
#include <tess/comm/plan.hpp>

#include <concepts>

namespace {

using namespace tess;
struct data;
struct model;
struct expert;
using M = Mesh<Axis<data, 2>, Axis<model, 4>, Axis<expert, 1>>;

template <class From, class To, class... Step>
concept goes_by = std::same_as<reshard_plan<Shape<16, 16>, From, To, M>, Steps<Step...>>;

// Nothing has to move between specs of the same placement.
static_assert(goes_by<P<data>, P<data, None>>);
static_assert(goes_by<P<>, P<expert>> && goes_by<P<Axes<expert, data>>, P<data>> && goes_by<P<Partial<expert>>, P<>>);

// One axis, one step: the six transitions.
static_assert(goes_by<P<>, P<None, data>, Slice<data, 1>>);
static_assert(goes_by<P<model>, P<>, AllGather<model, 0>>);
static_assert(goes_by<P<data>, P<None, data>, AllToAll<data, 0, 1>>);
static_assert(goes_by<P<data, Partial<model>>, P<data>, AllReduce<model>>);
static_assert(goes_by<P<data, Partial<model>>, P<data, model>, ReduceScatter<model, 1>>);
static_assert(goes_by<P<data, Partial<model>>, P<Axes<data, model>>, ReduceScatter<model, 0>>);

// Slices are free, so they come first, and what moves is small.
static_assert(goes_by<P<>, P<Axes<data, model>>, Slice<data, 0>, Slice<model, 0>>);
static_assert(goes_by<P<None, data>, P<None, model>, Slice<model, 0>, AllGather<data, 1>, AllToAll<model, 0, 1>>);

// Where an axis holds copies, each copy sums a part, and the parts are put together.
static_assert(goes_by<P<Partial<model>>, P<>, Slice<data, 0>, AllReduce<model>, AllGather<data, 0>>);

// An axis moves only from the minor end of one dimension to the minor end of another.
static_assert(goes_by<P<None, Axes<data, model>>, P<Axes<model, data>>, AllToAll<model, 1, 0>, AllToAll<data, 1, 0>>);

// Two pending sums are finished one after the other.
static_assert(goes_by<P<Partial<data, model>>, P<data, model>, ReduceScatter<data, 0>, ReduceScatter<model, 1>>);

// The same plans as types for run-time extents, which take only axes that the source or the target puts there.
static_assert(std::same_as<reshard_plan<Shape<dyn, 16>, P<data>, P<None, data>, M>, Steps<AllToAll<data, 0, 1>>>);
static_assert(std::same_as<reshard_plan<Shape<dyn, 16>, P<None, model>, P<>, M>, Steps<AllGather<model, 1>>>);
static_assert(std::same_as<reshard_plan<Shape<dyn, 7>, P<Partial<model>>, P<>, M>, Steps<AllReduce<model>>>);

// A pending sum becomes a sharded one at half the price of a whole one.
static_assert(2 * received_elements(Collective::reduce_scatter, 256, 4) ==
              received_elements(Collective::all_reduce, 256, 4));

// Prices in elements that a device receives, for a local shard of 64 in a group of 4.
static_assert(received_elements(Collective::slice, 64, 4) == 0);
static_assert(received_elements(Collective::all_gather, 64, 4) == 192);
static_assert(received_elements(Collective::all_to_all, 64, 4) == 48);

// The chunks of an all-reduce need not be equal: the largest one counts.
static_assert(received_elements(Collective::all_reduce, 5, 4) == 5 + 2 * 2);
static_assert(received_elements(Collective::all_reduce, 5, 1) == 0);

}  // namespace
