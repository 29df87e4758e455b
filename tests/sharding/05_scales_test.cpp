// Chapter 5, scales: the scales of an int8 weight derive their spec, so that a mesh that fits the weight fits them.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <type_traits>

#include <tess/device/dry.hpp>
#include <tess/sharding/device_slice.hpp>
#include <tess/sharding/scales_spec.hpp>

#include "support/all_specs.hpp"

using namespace tess;

namespace {

struct data;
struct model;
template <class M, class Spec, index_t G>
using Scales = scales_of<ShardedTensor<packed<q8<G>>, Shape<8, 32768, 6144>, M, Spec>>;

}  // namespace

TEST_CASE("where the groups divide, scales are sharded as their weight") {
  using M = Mesh<Axis<data, 2>, Axis<model, 8>>;
  using S = Scales<M, P<None, model, data>, 8>;
  CHECK(std::is_same_v<S::spec, P<None, model, data>>);
  CHECK(std::is_same_v<S::shape, Shape<8, 8, 6144>>);
  CHECK(std::is_same_v<S::local_shape, Shape<8, 1, 3072>>);
}

TEST_CASE("one group for all rows: its scales are on every device that holds some of them") {
  using M = Mesh<Axis<data, 2>, Axis<model, 8>>;
  CHECK(std::is_same_v<Scales<M, P<None, data, model>, 1>::spec, P<None, None, model>>);
}

// [quote:scales]
TEST_CASE("8 groups on 16 devices: replicated over the axis, or, where it is declared in parts, over the pairs") {
  using Whole = Mesh<Axis<data, 1>, Axis<model, 16>>;
  using Pairs = Mesh<Axis<data, 1>, Axis<model, 8, 2>>;
  CHECK(std::is_same_v<Scales<Whole, P<None, model, data>, 8>::spec, P<None, None, data>>);
  CHECK(std::is_same_v<Scales<Pairs, P<None, model, data>, 8>::spec, P<None, Sub<model, 1, 8>, data>>);
}
// [/quote]

TEST_CASE("law: whatever the spec, each device has the scales of all its rows, and nothing fails to divide") {
  MeshValue m;
  m.rank = 3, m.sizes = {2, 3, 2};
  constexpr index_t rows = 72;
  for (const SpecValue& weight : support::all_specs(m.rank, 2))
    for (index_t groups = 1; groups <= rows; ++groups) {
      if (rows % groups != 0) continue;
      const SpecValue scales = scales_spec(m, weight, groups);
      REQUIRE(groups % parts(m, scales[0]) == 0);
      CHECK(scales[1] == weight[1]);
      const index_t own_rows = rows / parts(m, weight[0]), own_groups = groups / parts(m, scales[0]);
      for (index_t device = 0; device < m.devices(); ++device) {
        const index_t first = shard_index(m, weight[0], device) * own_rows,
                      begin = shard_index(m, scales[0], device) * own_groups;
        for (index_t row = first; row < first + own_rows; ++row) {
          const index_t group = row / (rows / groups);
          CHECK((begin <= group && group < begin + own_groups));
        }
      }
    }
}
