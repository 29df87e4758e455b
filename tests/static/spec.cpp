// A PartitionSpec names, for each dimension, the mesh axes that shard it; two spellings of one spec are one type.
// SPDX-License-Identifier: Apache-2.0
#include <tess/sharding/sharded_tensor.hpp>

#include <concepts>

#include <tess/device/dry.hpp>

namespace {

using namespace tess;
struct data;
struct model;
struct expert;
using M = Mesh<Axis<data, 2>, Axis<model, 4>, Axis<expert, 1>>;

template <class Spec, int Rank>
using normal = normal_form<Spec, M, Rank>;

// A spec shorter than the rank means None for the rest.
static_assert(std::same_as<normal<P<>, 2>, P<None, None>>);
static_assert(std::same_as<normal<P<data>, 3>, P<data, None, None>>);

// A tuple of one axis is the axis; an empty one is None.
static_assert(std::same_as<normal<P<Axes<data>, Axes<>>, 2>, P<data, None>>);

// The order within a tuple is part of the spec: major to minor.
static_assert(std::same_as<normal<P<Axes<model, data>>, 1>, P<Axes<model, data>>>);
static_assert(!std::same_as<normal<P<Axes<model, data>>, 1>, normal<P<Axes<data, model>>, 1>>);

// Partial stands last, its axes in the order of the mesh, whatever the order in which they were written.
static_assert(std::same_as<normal<P<Partial<model>, None>, 1>, P<None, Partial<model>>>);
static_assert(std::same_as<normal<P<None, Partial<model, data>>, 1>, P<None, Partial<data, model>>>);
static_assert(std::same_as<normal<P<Partial<model>, Partial<data>>, 0>, P<Partial<data, model>>>);

// A pending value may be a maximum or a minimum instead of a sum; behind it stands the mark for gradients.
static_assert(std::same_as<normal<P<PartialMax<model>, data>, 1>, P<data, PartialMax<model>>>);
static_assert(std::same_as<normal<P<Reduced<data>, PartialMin<model>>, 1>, P<None, PartialMin<model>, Reduced<data>>>);
static_assert(spec_value<P<PartialMax<model>>, M, 1>.kind == Reduction::max);
static_assert(std::same_as<normal<P<PartialMax<>>, 1>, P<None>>);  // over no axes nothing is pending

// The parts of an axis side by side, in order, are the axis.
using Parts = Mesh<Axis<data, 2>, Axis<model, 8, 2>>;
static_assert(std::same_as<normal_form<P<Axes<Sub<model, 1, 8>, Sub<model, 8, 2>>>, Parts, 1>, P<model>>);
static_assert(std::same_as<normal_form<P<Sub<model, 1, 16>>, Parts, 1>, P<model>>);
static_assert(std::same_as<normal_form<P<Axes<Sub<model, 8, 2>, Sub<model, 1, 8>>>, Parts, 1>,
                           P<Axes<Sub<model, 8, 2>, Sub<model, 1, 8>>>>);
static_assert(
    std::same_as<normal_form<P<Sub<model, 1, 8>, Sub<model, 8, 2>>, Parts, 2>, P<Sub<model, 1, 8>, Sub<model, 8, 2>>>);

// The normal form of a normal form is itself.
template <class Spec, int Rank>
concept idempotent = std::same_as<normal<normal<Spec, Rank>, Rank>, normal<Spec, Rank>>;
static_assert(idempotent<P<>, 0> && idempotent<P<Axes<model>, Partial<data>>, 4> &&
              idempotent<P<Axes<model, data, expert>>, 2>);

// Axes of size 1 are names in typing and nothing in placement.
static_assert(!std::same_as<normal<P<expert>, 1>, normal<P<>, 1>>);
static_assert(same_placement<P<expert>, P<>, M, 1> && same_placement<P<Axes<expert, data>>, P<data>, M, 2>);
static_assert(same_placement<P<Partial<expert>>, P<>, M, 1>);

// Order and dimension matter to placement, and so does a pending sum.
static_assert(!same_placement<P<Axes<data, model>>, P<Axes<model, data>>, M, 1>);
static_assert(!same_placement<P<data, None>, P<None, data>, M, 2>);
static_assert(!same_placement<P<Partial<data>>, P<>, M, 1>);
static_assert(!same_placement<P<Partial<data>>, P<PartialMax<data>>, M, 1>);

// The mark Reduced is a name in typing and nothing in placement.
static_assert(!std::same_as<normal<P<Reduced<data>>, 1>, normal<P<>, 1>>);
static_assert(same_placement<P<Reduced<data>>, P<>, M, 1>);

// A tensor's spec is the normal form, and tensors that are spelled differently convert into one another, nothing else.
template <class Spec>
using Tensor = ShardedTensor<f32, Shape<8, 8>, M, Spec>;
static_assert(std::same_as<Tensor<P<Axes<data>>>::spec, P<data, None>>);
static_assert(std::convertible_to<Tensor<P<data>>, Tensor<P<data, None>>>);
static_assert(!std::convertible_to<Tensor<P<data>>, Tensor<P<None, data>>>);
static_assert(!std::convertible_to<Tensor<P<expert>>, Tensor<P<>>>);

static_assert(AnySpec<P<>> && !AnySpec<None> && !AnySpec<Axes<data>>);
static_assert(AnyTensor<Tensor<P<>>> && AnyTensor<const Tensor<P<>>> && !AnyTensor<P<>>);

}  // namespace
