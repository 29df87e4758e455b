// gather_weights: packed parameters made whole along mesh axes, to the byte, at the billed price.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/io/fill.hpp>
#include <tess/ops/gather_weights.hpp>

#include "support/tensors.hpp"

using namespace support;

namespace {

struct data;
struct model;
template <index_t D, index_t... N>
using Grid = Mesh<Axis<data, D>, Axis<model, N...>>;

/// Are the shards of two packed tensors of one type equal, byte for byte?
template <class W>
bool same_bytes(const W& a, const W& b) {
  for (index_t r = 0; r < W::mesh::size; ++r) {
    const auto &x = a.storage().matrices(r), &y = b.storage().matrices(r);
    if (x.size() != y.size()) return false;
    for (std::size_t e = 0; e < x.size(); ++e) {
      if (x[e].bytes() != y[e].bytes() || x[e].blocks().size() != y[e].blocks().size()) return false;
      const auto words = static_cast<std::size_t>(x[e].panels() * x[e].panel_bytes());
      if (std::memcmp(x[e].panel(0), y[e].panel(0), words) != 0) return false;
      if constexpr (std::remove_cvref_t<decltype(x[e])>::has_scales) {
        const auto scales =
            static_cast<std::size_t>(x[e].panels() * x[e].groups() * host::panel_columns) * sizeof(bf16);
        if (std::memcmp(x[e].scales(0, 0), y[e].scales(0, 0), scales) != 0) return false;
      }
    }
  }
  return true;
}

/// What is gathered is what the loader makes for the target spec; what moved is the bill, and each device's own part
/// did not.
template <class M, class E, class From, class To, index_t... Extent>
void gathers() {
  CAPTURE(M::size);
  using S = Shape<Extent...>;
  using W = ShardedTensor<packed<E>, S, M, From, Host>;
  Host dev(2);
  W w;
  with_spec<W, normal_form<To, M, S::rank>> truth;
  const auto wanted = random(7, S::size, 0.3);
  load(dev, w, {Extent...}, wanted, scale_groups<E>);
  load(dev, truth, {Extent...}, wanted, scale_groups<E>);
  const auto whole = gather_weights<To>(dev, w);
  CHECK(same_bytes(whole, truth));
  CHECK(io::to_vector(whole) == io::to_vector(w));

  for (index_t r = 0; r < M::size; ++r) {
    const index_t moved = device_bytes(whole, r, scale_groups<E>) - device_bytes(w, r, scale_groups<E>);
    CHECK((dev.traffic().bytes.empty() ? 0 : dev.traffic().bytes[static_cast<std::size_t>(r)]) == moved);
  }
  Dry dry;
  const ShardedTensor<packed<E>, S, M, From> dried;
  const auto gathered = gather_weights<To>(dry, dried);
  CHECK((dry.cost.peak_bytes >= gathered.local_extents().size()) == (dry.cost.collectives > 0));
  check_traffic(dev, dry.cost);
}

template <class E>
void every_way() {
  gathers<Grid<2, 1>, E, P<data>, P<>, 64, 48>();
  gathers<Grid<2, 2>, E, P<data, model>, P<None, model>, 64, 48>();
  gathers<Grid<2, 2>, E, P<model, data>, P<model>, 64, 48>();
  gathers<Grid<2, 4>, E, P<model, data>, P<>, 64, 48>();
  gathers<Grid<2, 2>, E, P<Axes<model, data>>, P<model>, 64, 40>();
  gathers<Grid<2, 2>, E, P<None, Axes<model, data>>, P<None, model>, 64, 40>();
  gathers<Grid<2, 2>, E, P<None, data, model>, P<None, None, model>, 3, 64, 48>();  // experts
  gathers<Grid<2, 2>, E, P<model, data>, P<None, data>, 4, 64, 16>();
  gathers<Grid<1, 2, 2>, E, P<model>, P<Sub<model, 1, 2>>, 64, 16>();  // a part of an axis
  gathers<Grid<2, 2>, E, P<data, model>, P<data, model>, 64, 16>();    // nothing to do
  gathers<Grid<1, 2>, E, P<data, model>, P<None, model>, 64, 16>();    // an axis of size 1
}

}  // namespace

TEST_CASE("f32") { every_way<f32>(); }
TEST_CASE("bf16") { every_way<bf16>(); }
TEST_CASE("int8 with one scale a column, with several parts in a group, and several groups in a part") {
  every_way<q8<1>>();
  every_way<q8<2>>();
  every_way<q8<16>>();
}
TEST_CASE("int8 whose parts begin and end inside groups") {
  gathers<Grid<2, 4>, q8<3>, P<model>, P<>, 48, 16>();  // parts of 12 rows, groups of 16
  gathers<Grid<4, 2>, q8<3>, P<data, model>, P<None, model>, 48, 16>();
}

TEST_CASE("a plain weight is resharded") {
  Host dev(1);
  using M = Grid<2, 2>;
  const auto values = random(1, 8 * 6);
  const auto w = tensor<ShardedTensor<f32, Shape<8, 6>, M, P<data, model>, Host>>(dev, {}, values);
  CHECK(elements(gather_weights<P<None, model>>(dev, w)) == values);
  CHECK(dev.traffic().collectives == 1);
}
