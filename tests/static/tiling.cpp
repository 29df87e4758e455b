// The tiles of a picture: rows and columns over the first two sharded dimensions, a sheet for each shard of others.
// SPDX-License-Identifier: Apache-2.0
#include <tess/comm/tiling.hpp>

namespace {

using namespace tess;
struct data;
struct model;
struct expert;
using M = Mesh<Axis<data, 2>, Axis<model, 4>, Axis<expert, 3>>;

template <class Spec, int Rank>
constexpr Tiling tiles = tiling(mesh_value<M>, spec_value<Spec, M, Rank>);

/// Dimensions of the rows and the columns, and how many there are of each.
template <class Spec, int Rank>
constexpr bool shows(int row_dim, int column_dim, index_t rows, index_t columns, index_t sheets = 1) {
  constexpr Tiling t = tiles<Spec, Rank>;
  return t.row_dim == row_dim && t.column_dim == column_dim && t.rows == rows && t.columns == columns &&
         t.sheets == sheets;
}

// A matrix as it is; a vector is a row; a scalar is one box.
static_assert(shows<P<data, model>, 2>(0, 1, 2, 4) && shows<P<None, model>, 2>(0, 1, 1, 4) &&
              shows<P<>, 2>(0, 1, 1, 1));
static_assert(shows<P<model>, 1>(-1, 0, 1, 4) && shows<P<>, 0>(-1, -1, 1, 1));

// Of more dimensions the sharded ones, beside the last ones where there are fewer than two.
static_assert(shows<P<data, None, model>, 3>(0, 2, 2, 4) && shows<P<None, data, None, model>, 4>(1, 3, 2, 4));
static_assert(shows<P<data>, 3>(0, 2, 2, 1) && shows<P<None, None, model>, 3>(1, 2, 1, 4));

// Of more than two, a sheet for each shard of the others.
static_assert(shows<P<data, model, expert>, 3>(0, 1, 2, 4, 3));

// Device 17 = (data 1, model 1, expert 2).
static_assert(tiles<P<data, model, expert>, 3>.holds(17, 2, 1, 1));
static_assert(tiles<P<Axes<expert, data>>, 1>.holds(17, 0, 0, 5));

// Devices along pending axes hold addends of one box.
static_assert(tiles<P<data, Partial<expert>>, 2>.addends() == 3 && tiles<P<data, Partial<expert>>, 2>.addend(17) == 2);

}  // namespace
