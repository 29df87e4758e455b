// A mesh is a grid of devices with named axes.
// SPDX-License-Identifier: Apache-2.0
#include <tess/mesh/mesh.hpp>

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

static_assert(AnyMesh<M> && AnyMesh<Mesh<>> && !AnyMesh<data> && !AnyMesh<Axis<data, 2>>);

}  // namespace
