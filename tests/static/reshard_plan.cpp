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

// Slices are free, so they come first, and what moves is small. Several axes of one dimension move in one step.
static_assert(goes_by<P<>, P<Axes<data, model>>, Slice<Axes<data, model>, 0>>);
static_assert(goes_by<P<Axes<data, model>>, P<>, AllGather<Axes<data, model>, 0>>);
static_assert(goes_by<P<None, Axes<data, model>>, P<Axes<data, model>>, AllToAll<Axes<data, model>, 1, 0>>);
static_assert(goes_by<P<None, model>, P<Axes<data, model>>, Slice<data, 0>, AllToAll<model, 1, 0>>);

// Shards of one shape change places.
static_assert(goes_by<P<Axes<data, model>>, P<Axes<model, data>>, Permute<P<Axes<model, data>, None>>>);
static_assert(
    goes_by<P<None, data>, P<None, model>, Slice<model, 1>, Permute<P<None, Axes<model, data>>>, AllGather<data, 1>>);

// Where an axis holds copies, each copy sums a part, and the parts are put together.
static_assert(goes_by<P<Partial<model>>, P<>, Slice<data, 0>, AllReduce<model>, AllGather<data, 0>>);

// Pending sums are finished together; so are maxima and minima.
static_assert(goes_by<P<Partial<data, model>>, P<>, AllReduce<Axes<data, model>>>);
static_assert(goes_by<P<Partial<data, model>>, P<Axes<data, model>>, ReduceScatter<Axes<data, model>, 0>>);
static_assert(goes_by<P<Partial<data, model>>, P<data, model>, ReduceScatter<data, 0>, ReduceScatter<model, 1>>);
static_assert(goes_by<P<data, PartialMax<model>>, P<data>, AllReduce<model>>);
static_assert(goes_by<P<data, PartialMin<model>>, P<data, model>, ReduceScatter<model, 1>>);
static_assert(goes_by<P<data, None, Partial<model>>, P<None, data, Partial<model>>, AllToAll<data, 0, 1>>);

// Half of an axis moves where that is cheaper: model has its parts Sub<model, 1, 2> and Sub<model, 2, 2>.
using Major = Sub<model, 1, 2>;
using Minor = Sub<model, 2, 2>;
static_assert(goes_by<P<data, model>, P<None, data>, Permute<P<Major, Axes<data, Minor>>>, AllGather<Major, 0>,
                      AllGather<Minor, 1>>);
// So it is with a mesh that is divided there itself: then the axis has these names anyway.
using Divided = Mesh<Axis<data, 2>, Axis<model, 2, 2>>;
static_assert(std::same_as<reshard_plan<Shape<16, 16>, P<Major>, P<model>, Divided>, Steps<Slice<Minor, 0>>>);
static_assert(std::same_as<reshard_plan<Shape<16, 16>, P<Major, Minor>, P<None, Axes<Minor, Major>>, Divided>,
                           Steps<AllToAll<Major, 0, 1>>>);

// What no chain of collectives reaches in what every device lacks, exact lists of elements do.
static_assert(goes_by<P<data, model>, P<model, data>, Exchange<P<model, data>>>);
static_assert(goes_by<P<None, Axes<data, model>>, P<Axes<model, data>>, Exchange<P<Axes<model, data>, None>>>);
// A policy may forbid that, and any policy may weigh otherwise.
static_assert(
    std::same_as<reshard_plan<Shape<16, 16>, P<None, Axes<data, model>>, P<Axes<model, data>>, M, CollectivesOnly>,
                 Steps<AllToAll<model, 1, 0>, AllToAll<data, 1, 0>>>);

// Reduced is a mark: putting it on and taking it off moves nothing.
static_assert(goes_by<P<data, Reduced<model>>, P<data>> && goes_by<P<data>, P<data, Reduced<model>>>);

// A sum over hosts is scattered within each host first, so that of 2 hosts of 4 devices only a quarter crosses.
using Hosts = Mesh<HybridAxis<data, 2, 4>>;
static_assert(
    std::same_as<reshard_plan<Shape<512, 512>, P<Partial<data>>, P<>, Hosts>,
                 Steps<ReduceScatter<Sub<data, 2, 4>, 0>, AllReduce<Sub<data, 1, 2>>, AllGather<Sub<data, 2, 4>, 0>>>);

// The same plans as types for run-time extents, which take only as many parts as the source or the target promises.
static_assert(std::same_as<reshard_plan<Shape<dyn, 16>, P<data>, P<None, data>, M>, Steps<AllToAll<data, 0, 1>>>);
static_assert(std::same_as<reshard_plan<Shape<dyn, 16>, P<None, model>, P<>, M>, Steps<AllGather<model, 1>>>);
static_assert(std::same_as<reshard_plan<Shape<dyn, 7>, P<Partial<model>>, P<>, M>, Steps<AllReduce<model>>>);

// Petabytes are planned as kilobytes are.
template <class From, class To>
using of_petabytes = reshard_plan<Shape<1 << 20, 1 << 20, 1 << 10>, From, To, M>;
static_assert(std::same_as<of_petabytes<P<None, data>, P<data>>, Steps<AllToAll<data, 1, 0>>>);
static_assert(std::same_as<of_petabytes<P<data, model>, P<model, data>>, Steps<Exchange<P<model, data, None>>>>);

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
