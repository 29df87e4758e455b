// A mesh is a grid of devices with named axes.
// SPDX-License-Identifier: Apache-2.0
#include <tess/mesh/make_mesh.hpp>

#include <concepts>

namespace {

using namespace tess;
struct data;
struct model;
struct pipeline;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;

// Its size is the product of its axes; a mesh without axes is one device.
static_assert(M::size == 8 && M::rank == 2);
static_assert(Mesh<>::size == 1 && Mesh<>::rank == 0);

// Axes have positions and are asked for by name; a mesh may lack one.
static_assert(M::axis_index<data> == 0 && M::axis_index<model> == 1 && M::axis_index<pipeline> == -1);
static_assert(M::has<data> && !M::has<pipeline>);
static_assert(std::same_as<M::axis_name<1>, model>);
static_assert(M::axis_size(0) == 2 && M::axis_size(1) == 4);

// Device numbers are row-major: the first axis is the major one.
static_assert(M::stride(0) == 4 && M::stride(1) == 1);
static_assert(M::coordinate(5, M::axis_index<data>) == 1 && M::coordinate(5, M::axis_index<model>) == 1);
static_assert([] {
  for (index_t device = 0; device < M::size; ++device)
    if (M::coordinate(device, 0) * M::stride(0) + M::coordinate(device, 1) * M::stride(1) != device) return false;
  return true;
}());

// An axis in parts has a position for each; a part is named by what stands before it and its size.
using Parts = Mesh<Axis<data, 2>, Axis<model, 8, 2>>;
static_assert(Parts::rank == 3 && Parts::size == 32 && Parts::size_along<model> == 16);
static_assert(Parts::size_along<Sub<model, 1, 8>> == 8 && Parts::axis_index<Sub<model, 8, 2>> == 2);
static_assert(std::same_as<Parts::axis_name<1>, Sub<model, 1, 8>> && std::same_as<Parts::axis_name<1, 2>, model>);

// At another place it has no part: the axis is there, but not divided so.
static_assert(!Parts::has<Sub<model, 1, 4>> && Parts::has_axis<Sub<model, 1, 4>> && !Parts::has_axis<pipeline>);

// Parts of size 1 say nothing and are left out; an axis of size 1 stays an axis.
static_assert(std::same_as<Mesh<Axis<model, 1, 4, 1>>::axis_name<0>, model> && Mesh<Axis<model, 1, 4, 1>>::rank == 1);
static_assert(Mesh<Axis<data, 1>>::rank == 1 && Mesh<Axis<data, 1>>::has<data>);

// Over hosts: the part of an axis between them is its major one.
using Hosts = make_mesh<Local<1, 8>, Between<2, 1>, data, model>;
static_assert(std::same_as<Hosts, Mesh<HybridAxis<data, 2, 1>, HybridAxis<model, 1, 8>>>);
static_assert(Hosts::between_hosts(0) && !Hosts::between_hosts(1));
static_assert(host_count<Hosts> == 2 && devices_per_host<Hosts> == 8 && host_of<Hosts>(8) == 1);

// The mesh as a value says the same.
static_assert(mesh_value<Hosts>.devices() == 16 && mesh_value<Hosts>.between_hosts == 1u);
static_assert(mesh_value<Mesh<Axis<data, 1>, Axis<model, 4>>>.trivial() == 1u);

static_assert(AnyMesh<M> && AnyMesh<Mesh<>> && !AnyMesh<data> && !AnyMesh<Axis<data, 2>>);

}  // namespace
