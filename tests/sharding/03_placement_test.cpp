// Chapter 3, placement: which device holds which elements, as in JAX's device maps; when two specs mean the same.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <tess/mesh/make_mesh.hpp>
#include <tess/sharding/device_slice.hpp>

#include "support/all_specs.hpp"
#include "support/csv.hpp"
#include "support/summary.hpp"

using namespace tess;

namespace {

struct data;
struct model;
struct x;
struct y;
struct z;
using Grid = Mesh<Axis<data, 2>, Axis<model, 4>>;  // device = 4 · data + model
using Eight = Extents<Shape<8, 8>>;

using Slice = std::array<Range, 2>;

/// Of a square matrix that every mesh here divides.
constexpr index_t side = 24;
Slice slice_of(const MeshValue& m, const SpecValue& spec, index_t device) {
  Slice slice;
  for (int d = 0; d < 2; ++d) {
    const index_t size = side / parts(m, spec[d]), begin = shard_index(m, spec[d], device) * size;
    slice[static_cast<std::size_t>(d)] = {begin, begin + size};
  }
  return slice;
}
std::vector<Slice> map_of(const MeshValue& m, const SpecValue& spec) {
  std::vector<Slice> map;
  for (index_t device = 0; device < m.devices(); ++device) map.push_back(slice_of(m, spec, device));
  return map;
}

MeshValue mesh_of(std::initializer_list<index_t> sizes) {
  MeshValue m;
  for (const index_t size : sizes) m.sizes[static_cast<std::size_t>(m.rank++)] = size;
  return m;
}

}  // namespace

TEST_CASE("the five device maps of the reference, 8 x 8 on data=2, model=4") {
  const auto holds = []<class Spec>(Spec, index_t device, Range rows, Range columns) {
    return device_slice<Spec, Grid>(Eight{}, device) == Slice{rows, columns};
  };
  const Range all{0, 8};
  const index_t row_of[] = {0, 2, 4, 6, 1, 3, 5, 7};  // under (model, data)
  for (index_t i = 0; i < 8; ++i) {
    CHECK(holds(P<Axes<data, model>>{}, i, {i, i + 1}, all));
    CHECK(holds(P<Axes<model, data>>{}, i, {row_of[i], row_of[i] + 1}, all));
    CHECK(holds(P<None, model>{}, i, all, {2 * (i % 4), 2 * (i % 4) + 2}));
  }
  CHECK(holds(P<data, model>{}, 0, {0, 4}, {0, 2}));
  CHECK(holds(P<data, model>{}, 3, {0, 4}, {6, 8}));
  CHECK(holds(P<data, model>{}, 4, {4, 8}, {0, 2}));
  CHECK(holds(P<model, data>{}, 0, {0, 2}, {0, 4}));
  CHECK(holds(P<model, data>{}, 1, {2, 4}, {0, 4}));
  CHECK(holds(P<model, data>{}, 4, {0, 2}, {4, 8}));
}

TEST_CASE("all 49 specs of a matrix on a 2 x 3 x 2 mesh, device by device, as JAX has them") {
  using M = Mesh<Axis<x, 2>, Axis<y, 3>, Axis<z, 2>>;
  constexpr index_t extent = 12;
  std::vector<SpecValue> met;
  long same = 0;
  for (const auto& row : support::read_csv(TESS_SHARDING_DATA "/sharding_golden_devmap_2x3x2.csv")) {
    CAPTURE(row.at("spec"));
    const SpecValue spec = support::parse_spec(row.at("spec"), {"x", "y", "z"});
    REQUIRE(spec.rank == 2);
    const index_t local[] = {extent / parts<M>(spec[0]), extent / parts<M>(spec[1])};
    CHECK(std::vector<index_t>{local[0], local[1]} == support::parse_shape(row.at("local_shape")));
    bool all_devices = true;
    for (index_t device = 0; device < M::size; ++device) {
      std::string slice;
      for (int d = 0; d < 2; ++d) {
        const index_t begin = shard_index<M>(spec[d], device) * local[d];
        slice += (d == 0 ? "[" : ",") + std::to_string(begin) + ":" + std::to_string(begin + local[d]);
      }
      CHECK(slice + "]" == row.at("dev" + std::to_string(device)));
      all_devices = all_devices && slice + "]" == row.at("dev" + std::to_string(device));
    }
    same += all_devices;
    met.push_back(spec);
  }
  CHECK(met.size() == 49);
  support::report_rows("sharding_golden_devmap_2x3x2.csv", 49, same, 0, 0, 49 - same);
  for (const SpecValue& spec : support::all_specs(3, 2))  // the table has every one
    CHECK(std::count(met.begin(), met.end(), spec) == 1);
}

TEST_CASE("law: every element is held by (devices / shards) devices, whatever the spec") {
  for (const MeshValue& m : {mesh_of({2, 3}), mesh_of({2, 1, 4}), mesh_of({3, 2, 2})})
    for (const SpecValue& spec : support::all_specs(m.rank, 2)) {
      std::vector<index_t> copies(side * side);
      index_t held = 0;
      for (const Slice& s : map_of(m, spec)) {
        held += s[0].size() * s[1].size();
        for (index_t i = s[0].begin; i < s[0].end; ++i)
          for (index_t j = s[1].begin; j < s[1].end; ++j) ++copies[static_cast<std::size_t>(i * side + j)];
      }
      const index_t replicas = m.devices() / (parts(m, spec[0]) * parts(m, spec[1]));
      CHECK(held == replicas * side * side);
      CHECK(copies == std::vector<index_t>(side * side, replicas));
    }
}

// [quote:same]
TEST_CASE("two specs have one placement exactly when their device maps are equal; axes of size 1 do not matter") {
  int equal = 0, pairs = 0;
  for (const MeshValue& m : {mesh_of({2, 1, 3}), mesh_of({2, 2, 2}), mesh_of({1, 1, 4})}) {
    const auto specs = support::all_pending_specs(m.rank, 2);
    std::vector<std::vector<Slice>> maps;
    for (const SpecValue& spec : specs) maps.push_back(map_of(m, spec));
    for (std::size_t a = 0; a < specs.size(); ++a)
      for (std::size_t b = 0; b < specs.size(); ++b) {
        const bool same_map =
            maps[a] == maps[b] && (specs[a].partial & ~m.trivial()) == (specs[b].partial & ~m.trivial());
        const bool same = placement(m, specs[a]) == placement(m, specs[b]);
        REQUIRE(same == same_map);  // equality of values and of maps: so it is an equivalence
        equal += same, ++pairs;
      }
  }
  CHECK(equal > 300);
  CHECK(equal < pairs / 2);
}
// [/quote]

TEST_CASE("same_placement asks that of types") {
  using M = Mesh<Axis<data, 2>, Axis<model, 4>, Axis<x, 1>>;
  CHECK(same_placement<P<data>, P<Axes<data, x>>, M, 2>);
  CHECK(same_placement<P<x, data, Partial<model>>, P<None, data, Partial<x, model>>, M, 2>);
  CHECK(same_placement<P<data, None, Reduced<model>>, P<data>, M, 2>);  // a mark for gradients moves nothing
  CHECK(!same_placement<P<data, None, Partial<model>>, P<data>, M, 2>);
  CHECK(!same_placement<P<None, Partial<model>>, P<None, PartialMax<model>>, M, 1>);
  CHECK(!same_placement<P<Axes<data, model>>, P<Axes<model, data>>, M, 1>);
}

TEST_CASE("over hosts a slice follows the mesh's device number, not the machine's") {
  using M = make_mesh<Local<1, 4>, Between<2, 1>, data, model>;
  for (index_t device = 0; device < M::size; ++device) {
    const Slice slice = device_slice<P<data, model>, M>(Eight{}, device);
    CHECK(slice[0].begin == 4 * host_of<M>(device));  // `data` runs between the hosts
    CHECK(slice[1].begin == 2 * index_in_host<M>(device));
  }
}

TEST_CASE("a dimension sharded over a part of an axis: the other part holds copies") {
  using M = Mesh<Axis<model, 4, 2>>;
  for (index_t device = 0; device < 8; ++device) {
    CHECK(device_slice<P<Sub<model, 1, 4>>, M>(Eight{}, device)[0] == Range{device / 2 * 2, device / 2 * 2 + 2});
    CHECK(device_slice<P<Sub<model, 4, 2>>, M>(Eight{}, device)[0] == Range{device % 2 * 4, device % 2 * 4 + 4});
    CHECK(device_slice<P<Axes<Sub<model, 1, 4>, Sub<model, 4, 2>>>, M>(Eight{}, device) ==
          device_slice<P<model>, M>(Eight{}, device));
  }
}
