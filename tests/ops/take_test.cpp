// Lookups in a sharded table, and the product with all its rows.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/ops/reshard.hpp>
#include <tess/ops/take.hpp>

#include "support/tensors.hpp"

using namespace support;

namespace {

struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
constexpr index_t V = 40, D = 48;
using IdShape = Shape<dyn, 3>;
template <class Spec>
using Ids = ShardedTensor<i32, IdShape, M, Spec, Host>;
template <class Spec>
using Table = ShardedTensor<table<bf16>, Shape<V, D>, M, Spec, Host>;

const std::vector<i32> ids = {0, 39, 7, 7, 20, 1};

}  // namespace

TEST_CASE("rows come out as the checkpoint has them: f32, unrounded") {
  Host dev(1);
  const auto values = random(1, V * D, 1.2345);
  std::vector<f32> expected;
  for (const i32 id : ids) expected.insert(expected.end(), values.begin() + id * D, values.begin() + (id + 1) * D);
  const auto check = [&](auto id_spec, auto table_spec) {
    Table<decltype(table_spec)> rows;
    load(dev, rows, {V, D}, values);
    const auto x = take(dev, rows, tensor<Ids<decltype(id_spec)>>(dev, Extents<IdShape>(2), ids));
    CHECK(dev.traffic().collectives == 0);
    CHECK(elements(reduce(dev, x)) == expected);
    dev.reset_traffic();
  };
  check(P<>{}, P<>{});
  check(P<>{}, P<None, Axes<data, model>>{});  // columns
  check(P<data>{}, P<model>{});                // rows: others add zeros
  check(P<>{}, P<model, data>{});
}

TEST_CASE("a table in bf16 gives its rows as they are") {
  Host dev(1);
  std::vector<bf16> values;
  for (const f32 v : random(1, V * D)) values.emplace_back(v);
  Table<P<model>> rows;
  io::load(dev, rows, {io::array_of(io::DType::bf16, {V, D}, values), {}}, "a table");
  const auto x = elements(reduce(dev, take(dev, rows, tensor<Ids<P<>>>(dev, Extents<IdShape>(2), ids))));
  for (std::size_t i = 0; i < x.size(); ++i)
    REQUIRE(x[i] == f32(values[static_cast<std::size_t>(ids[i / D]) * D + i % D]));
}

TEST_CASE("logits: x times every row of the table, whose numbers are bf16 there") {
  Host dev(1);
  const auto x = random(1, 2 * 3 * D), values = random(2, V * D);
  std::vector<f32> transposed(values.size());
  for (std::size_t v = 0; v < V; ++v)
    for (std::size_t d = 0; d < D; ++d) transposed[d * V + v] = f32(bf16(values[v * D + d]));
  const auto truth = product(widened(x), transposed, D, V);
  using XShape = Shape<dyn, 3, D>;
  const auto check = [&](auto x_spec, auto table_spec) {
    Table<decltype(table_spec)> rows;
    load(dev, rows, {V, D}, values);
    const auto a = tensor<ShardedTensor<f32, XShape, M, decltype(x_spec), Host>>(dev, Extents<XShape>(2), x);
    CHECK(error(elements(reduce(dev, matmul_rows(dev, a, rows))), truth) < 1e-5);
  };
  check(P<>{}, P<>{});
  check(P<data>{}, P<model>{});
  check(P<None, None, Axes<data, model>>{}, P<None, Axes<data, model>>{});
}

TEST_CASE("a token id outside the table is an error that names both") {
  Host dev(1);
  Table<P<model>> rows;
  load(dev, rows, {V, D}, random(1, V * D));
  const auto look_up = [&](i32 id) {
    return take(dev, rows, tensor<Ids<P<>>>(dev, Extents<IdShape>(1), std::vector<i32>{0, id, 1}));
  };
  CHECK_NOTHROW(look_up(39));
  CHECK_THROWS_WITH_AS(look_up(40), "[take] token id 40 is outside the table of 40 rows", Error);
  CHECK_THROWS_WITH_AS(look_up(-1), "[take] token id -1 is outside the table of 40 rows", Error);
}
