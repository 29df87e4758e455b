// Tiling: the tiles into which a spec cuts a tensor, and which devices hold each; what a picture shows.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../sharding/device_slice.hpp"

namespace tess {

/// Tiles in rows and columns over two dimensions, the first two that are sharded, or those beside them where fewer are.
/// Where more are sharded there is one sheet of tiles for every shard of the others.
struct Tiling {
  MeshValue mesh{};
  SpecValue spec{};
  int row_dim = -1, column_dim = -1;  // -1: the tensor has no such dimension
  index_t rows = 1, columns = 1, sheets = 1;

  /// Shards of dimension d.
  constexpr index_t shards(int d) const { return d < 0 ? 1 : parts(mesh, spec[d]); }
  constexpr index_t row(index_t device) const { return place(row_dim, device); }
  constexpr index_t column(index_t device) const { return place(column_dim, device); }
  constexpr index_t sheet(index_t device) const {
    index_t at = 0;
    for (int d = 0; d < spec.rank; ++d)
      if (d != row_dim && d != column_dim) at = at * shards(d) + place(d, device);
    return at;
  }
  /// The shard of dimension d, not shown as row or column, on a sheet.
  constexpr index_t shard_on_sheet(int d, index_t sheet) const {
    index_t after = 1;
    for (int e = d + 1; e < spec.rank; ++e)
      if (e != row_dim && e != column_dim) after *= shards(e);
    return sheet / after % shards(d);
  }

  /// Of a pending value, the parts that are still to be put together; else 1.
  constexpr index_t addends() const { return parts(mesh, pending()); }
  constexpr index_t addend(index_t device) const { return shard_index(mesh, pending(), device); }

  constexpr bool holds(index_t device, index_t at_sheet, index_t at_row, index_t at_column) const {
    return sheet(device) == at_sheet && row(device) == at_row && column(device) == at_column;
  }

 private:
  constexpr DimAxes pending() const { return detail::axes_of_mask(spec.partial); }
  constexpr index_t place(int d, index_t device) const { return d < 0 ? 0 : shard_index(mesh, spec[d], device); }
};

constexpr Tiling tiling(const MeshValue& mesh, const SpecValue& spec) {
  Tiling t;
  t.mesh = mesh, t.spec = spec;
  int first = -1, second = -1;
  for (int d = spec.rank - 1; d >= 0; --d)
    if (t.shards(d) > 1) second = first, first = d;
  t.column_dim = second >= 0 ? second : spec.rank - 1;
  t.row_dim = first >= 0 && first != t.column_dim ? first : spec.rank > 1 ? spec.rank - 2 : -1;
  t.rows = t.shards(t.row_dim), t.columns = t.shards(t.column_dim);
  for (int d = 0; d < spec.rank; ++d)
    if (d != t.row_dim && d != t.column_dim) t.sheets *= t.shards(d);
  return t;
}

}  // namespace tess
