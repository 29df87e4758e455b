// The slices of a mesh as values are those that device_slice computes from the types.
// SPDX-License-Identifier: Apache-2.0
#include "tess/io/shard_slices.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>

#include "tess/device/dry.hpp"

using namespace tess;

namespace {

struct data;
struct expert;
struct model;
using Cube = Mesh<Axis<data, 2>, Axis<expert, 3>, Axis<model, 4>>;

template <class Spec>
struct Case {
  using X = ShardedTensor<f32, Shape<24, 48, dyn>, Cube, Spec>;
};

}  // namespace

TEST_CASE_TEMPLATE("every device, every slice once, and its first holder", C, Case<P<None, None, None>>,
                   Case<P<model, None, data>>, Case<P<Axes<data, expert>, model>>, Case<P<Axes<model, data>>>,
                   Case<P<None, expert>>) {
  using X = typename C::X;
  const Extents<typename X::shape> extents{8};
  const io::ShardSlices slices = io::slices_of(X(extents, {}));
  REQUIRE(slices.of.size() == 24);
  for (index_t r = 0; r < Cube::size; ++r) {
    const auto expected = device_slice<typename X::spec, Cube>(extents, r);
    const auto& slice = slices.distinct[slices.of[static_cast<std::size_t>(r)]];
    CHECK(std::equal(slice.begin(), slice.end(), expected.begin(), expected.end()));
    CHECK(slices.holder[slices.of[static_cast<std::size_t>(r)]] <= r);
  }
  for (std::size_t i = 0; i < slices.distinct.size(); ++i) {
    CHECK(slices.of[static_cast<std::size_t>(slices.holder[i])] == i);
    CHECK(std::count(slices.distinct.begin(), slices.distinct.end(), slices.distinct[i]) == 1);
  }
  const auto shards = io::shards_of(slices, [](const auto& s) { return std::make_shared<index_t>(s[0].begin); });
  REQUIRE(shards.size() == 24);
  for (std::size_t r = 0; r < shards.size(); ++r)
    for (std::size_t other = 0; other < r; ++other)
      CHECK((shards[r] == shards[other]) == (slices.of[r] == slices.of[other]));
}
