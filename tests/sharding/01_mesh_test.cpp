// Chapter 1, the mesh: devices in a grid of named axes, over several hosts where there are several, in JAX's order.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <tess/mesh/make_mesh.hpp>

#include "support/files.hpp"

using namespace tess;

namespace {

struct data;
struct model;
struct expert;

/// The physical devices at the positions of a mesh of two axes, row by row.
template <class M>
std::string layout() {
  std::string text;
  const index_t columns = M::size / M::template size_along<data>;
  for (index_t device = 0; device < M::size; ++device) {
    if (device > 0) text += device % columns ? " " : " / ";
    text += std::to_string(physical_device<M>(device));
  }
  return text;
}

/// The hosts of the neighbours of device 0 along an axis.
template <class M, class Name>
std::vector<index_t> hosts_along() {
  std::vector<index_t> hosts;
  constexpr auto run = M::template run_of<Name>;
  const index_t step = M::stride(run.first + run.count - 1);
  for (index_t i = 0; i < M::template size_along<Name>; ++i) hosts.push_back(host_of<M>(i * step));
  return hosts;
}

}  // namespace

TEST_CASE("devices are numbered row by row: the first axis is the major one") {
  using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
  for (index_t device = 0; device < M::size; ++device) {
    CHECK(M::coordinate(device, 0) == device / 4);
    CHECK(M::coordinate(device, 1) == device % 4);
  }
}

TEST_CASE("a mesh of any rank: coordinates and device numbers are one to one") {
  using M = Mesh<Axis<data, 2>, Axis<model, 3, 2>, Axis<expert, 1>, Axis<struct pipe, 5>>;
  CHECK(M::rank == 5);  // positions: the parts of `model` are two
  std::vector<bool> seen(static_cast<std::size_t>(M::size));
  for (index_t device = 0; device < M::size; ++device) {
    index_t back = 0;
    for (int a = 0; a < M::rank; ++a) back += M::coordinate(device, a) * M::stride(a);
    REQUIRE(back == device);
    CHECK(!seen[static_cast<std::size_t>(back)]);
    seen[static_cast<std::size_t>(back)] = true;
  }
}

// [quote:hosts]
TEST_CASE("over hosts, the host is the major part of an axis: create_hybrid_device_mesh's two goldens") {
  // Two granules of four devices, mesh (2, 2) within each. Source: reference/sharding.md 1.2.5.
  CHECK(layout<make_mesh<Local<2, 2>, Between<2, 1>, data, model>>() == "0 1 / 2 3 / 4 5 / 6 7");
  CHECK(layout<make_mesh<Local<2, 2>, Between<1, 2>, data, model>>() == "0 1 4 5 / 2 3 6 7");
}
// [/quote]

TEST_CASE("over one host the order is the mesh's own, and no axis runs between hosts") {
  using One = make_mesh<Local<2, 4>, Between<1, 1>, data, model>;
  CHECK(layout<One>() == "0 1 2 3 / 4 5 6 7");
  CHECK(host_count<One> == 1);
  CHECK(mesh_value<One>.between_hosts == 0);
}

TEST_CASE("along a hybrid axis one host's devices come first, then the next one's") {
  using M = make_mesh<Local<1, 4>, Between<2, 2>, data, model>;
  CHECK(host_count<M> == 4);
  CHECK(devices_per_host<M> == 4);
  CHECK(hosts_along<M, model>() == std::vector<index_t>{0, 0, 0, 0, 1, 1, 1, 1});
  CHECK(hosts_along<M, data>() == std::vector<index_t>{0, 2});
  for (index_t device = 0; device < M::size; ++device)
    CHECK(physical_device<M>(device) == host_of<M>(device) * 4 + index_in_host<M>(device));
}

TEST_CASE("every physical device stands in the mesh once") {
  using M = make_mesh<Local<2, 1, 3>, Between<1, 4, 2>, data, expert, model>;
  std::vector<int> seen(static_cast<std::size_t>(M::size));
  for (index_t device = 0; device < M::size; ++device) ++seen.at(static_cast<std::size_t>(physical_device<M>(device)));
  CHECK(seen == std::vector<int>(static_cast<std::size_t>(M::size), 1));
}

TEST_CASE("the machine has to fit: as many hosts as Between, as many devices in each as Local") {
  using M = make_mesh<Local<1, 8>, Between<2, 1>, data, model>;
  CHECK_NOTHROW(check_machine<M>(2, 8));
  CHECK(
      test::error_of([] { check_machine<M>(4, 8); }) ==
      "[mesh] the machine has 4 hosts, but the mesh spans 2: the sizes of Between<...> must multiply to the number of "
      "hosts");
  CHECK(
      test::error_of([] { check_machine<M>(2, 4); }) ==
      "[mesh] a host has 4 devices, but the mesh takes 8 of each: the sizes of Local<...> must multiply to the devices "
      "of one host");
}

// [quote:parts]
TEST_CASE("a part of an axis is a digit of the coordinate along it") {
  using M = Mesh<Axis<data, 2>, Axis<model, 2, 4, 2>>;
  using Middle = Sub<model, 2, 4>;
  CHECK(M::size_along<model> == 16);
  CHECK(M::size_along<Middle> == 4);
  for (index_t device = 0; device < M::size; ++device) {
    const index_t along_model = device % 16;
    CHECK(M::coordinate(device, M::axis_index<Middle>) == along_model / 2 % 4);
  }
  CHECK(M::has<Sub<model, 2, 8>>);  // two parts side by side are a part again
  CHECK(!M::has<Sub<model, 4, 4>>);
}
// [/quote]
