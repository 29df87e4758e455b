// Which device holds what: all 49 specs of a matrix on a 2x3x2 mesh, device by device, as JAX has them.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>

#include <tess/sharding/device_slice.hpp>

#include "support/csv.hpp"

using namespace tess;

namespace {
struct x;
struct y;
struct z;
using M = Mesh<Axis<x, 2>, Axis<y, 3>, Axis<z, 2>>;
constexpr index_t side = 12;
}  // namespace

TEST_CASE("device maps: tuple order is major to minor, device numbers are row-major") {
  int all = 0;
  for (const auto& row : support::read_csv(TESS_SHARDING_DATA "/sharding_golden_devmap_2x3x2.csv")) {
    CAPTURE(row.at("spec"));
    const SpecValue spec = support::parse_spec(row.at("spec"), {"x", "y", "z"});
    REQUIRE(spec.rank == 2);
    const index_t local[] = {side / parts<M>(spec[0]), side / parts<M>(spec[1])};
    CHECK(std::vector<index_t>{local[0], local[1]} == support::parse_shape(row.at("local_shape")));
    for (index_t device = 0; device < M::size; ++device) {
      std::string slice;
      for (int d = 0; d < 2; ++d) {
        const index_t begin = shard_index<M>(spec[d], device) * local[d];
        slice += (d == 0 ? "[" : ",") + std::to_string(begin) + ":" + std::to_string(begin + local[d]);
      }
      CHECK(slice + "]" == row.at("dev" + std::to_string(device)));
    }
    ++all;
  }
  CHECK(all == 49);
}

TEST_CASE("run-time extents that do not divide are refused with sizes that work") {
  const Extents<Shape<dyn, 6>> seven(7);
  CHECK_THROWS_WITH_AS(
      (local_extents<P<x>, M>(seven)),
      "[sharding] dimension_does_not_divide: dimension 0 has extent 7, which does not divide into 2 shards; "
      "sizes that work: 6, 8",
      Error);
  CHECK_THROWS_AS((device_slice<P<Axes<x, y>>, M>(seven, 0)), Error);
  CHECK(local_extents<P<z, y>, M>(Extents<Shape<dyn, 6>>(8)).array() == std::array<index_t, 2>{4, 2});
}
