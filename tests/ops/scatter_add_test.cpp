// Lookups along any dimension and their transpose, sharded in every way, have the values of one device.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/device/trace.hpp>
#include <tess/ops/einsum.hpp>
#include <tess/ops/scatter_add.hpp>

#include "support/tensors.hpp"

using namespace support;

namespace {

struct a;
struct b;
template <index_t A, index_t B>
using Grid = Mesh<Axis<a, A>, Axis<b, B>>;

template <class S, class Spec, class M, class T = f32>
using X = ShardedTensor<T, S, M, Spec, Host>;

std::vector<i32> some_ids(index_t seed, index_t count, index_t rows) {
  std::vector<i32> ids;
  for (index_t i = 0; i < count; ++i)
    ids.push_back(static_cast<i32>((static_cast<index_t>(noise(seed, i) * 4096) + 4096) % rows));
  return ids;
}

/// Addends 1, 2, ..., n of a pending operand, as support::tensor makes them.
template <class T>
f64 sum_of_addends() {
  index_t n = 1;
  for (int i = 0; i < T::mesh::rank; ++i)
    if (T::sharding.partial >> i & 1u) n *= T::mesh::axis_size(i);
  return static_cast<f64>(n * (n + 1) / 2);
}
std::vector<f64> times(const std::vector<f64>& v, f64 factor) {
  auto scaled = v;
  for (f64& x : scaled) x *= factor;
  return scaled;
}

// ---- take along dimension 1 of [12, 12, 12], ids [12, 2]: [12, 12, 2, 12]

using Table = Shape<12, 12, 12>;
using TableIds = Shape<12, 2>;

template <class M, class PT, class... PI>
int takes(Host& dev) {
  const auto values = random(1, 12 * 12 * 12);
  const auto ids = some_ids(2, 24, 12);
  std::vector<f64> truth;
  for (index_t i = 0; i < 12; ++i)
    for (const i32 id : ids)
      for (index_t j = 0; j < 12; ++j)
        truth.push_back(static_cast<f64>(values[static_cast<std::size_t>((i * 12 + id) * 12 + j)]));
  int accepted = 0;
  const auto check = [&](auto id_spec) {
    using T = X<Table, PT, M>;
    using I = X<TableIds, decltype(id_spec), M, i32>;
    if constexpr (std::is_same_v<tess::detail::lookup_fact<tess::detail::Lookup<T, I, 1, false>, I, T>,
                                 nothing_wrong>) {
      const auto y = take<1>(dev, tensor<T>(dev, {}, values), tensor<I>(dev, {}, ids));
      static_assert(std::is_same_v<typename decltype(y)::shape, Shape<12, 12, 2, 12>>);
      CHECK(error(elements(y), times(truth, sum_of_addends<T>())) < 1e-6);
      ++accepted;
    }
  };
  (check(PI{}), ...);
  return accepted;
}

template <class M>
int all_takes(Host& dev) {
  return takes<M, P<>, P<>, P<a>, P<b, a>>(dev) + takes<M, P<None, a>, P<>, P<b>, P<a>>(dev) +
         takes<M, P<a, b>, P<>, P<b>>(dev) + takes<M, P<a, None, b>, P<>, P<a>>(dev) +
         takes<M, P<None, Axes<b, a>>, P<>>(dev) + takes<M, P<None, a, None, Partial<b>>, P<>, P<b>>(dev);
}

// ---- take_along_axis along dimension 1 of [12, 12], ids [12, 6]

template <class M, class PX, class... PI>
int takes_along(Host& dev) {
  const auto values = random(3, 12 * 12);
  const auto ids = some_ids(4, 72, 12);
  std::vector<f64> truth;
  for (std::size_t i = 0; i < ids.size(); ++i)
    truth.push_back(static_cast<f64>(values[i / 6 * 12 + static_cast<std::size_t>(ids[i])]));
  int accepted = 0;
  const auto check = [&](auto id_spec) {
    using T = X<Shape<12, 12>, PX, M>;
    using I = X<Shape<12, 6>, decltype(id_spec), M, i32>;
    if constexpr (std::is_same_v<tess::detail::lookup_fact<tess::detail::Lookup<T, I, 1, true>, I, T>, nothing_wrong>) {
      const auto y = take_along_axis<1>(dev, tensor<T>(dev, {}, values), tensor<I>(dev, {}, ids));
      CHECK(error(elements(y), times(truth, sum_of_addends<T>())) < 1e-6);
      ++accepted;
    }
  };
  (check(PI{}), ...);
  return accepted;
}
template <class M>
int all_takes_along(Host& dev) {
  return takes_along<M, P<>, P<>, P<b>, P<b, a>>(dev) + takes_along<M, P<b>, P<>, P<b, a>, P<a>>(dev) +
         takes_along<M, P<b, a>, P<>, P<b>, P<None, a>>(dev) + takes_along<M, P<None, a>, P<b>, P<a>>(dev);
}

// ---- scatter_add of updates [4, 6] by ids [4] into rows [12, 6]

template <class M, class PI, class PU, class Rows>
void scatter(Host& dev) {
  using I = X<Shape<4>, PI, M, i32>;
  using U = X<Shape<4, 6>, PU, M>;
  const auto updates = random(5, 24);
  const std::vector<i32> ids = {7, 0, 7, 11};
  std::vector<f64> truth(72);
  for (std::size_t i = 0; i < 24; ++i)
    truth[static_cast<std::size_t>(ids[i / 6]) * 6 + i % 6] += static_cast<f64>(updates[i]);
  const auto y = scatter_add<12, Rows>(dev, tensor<I>(dev, {}, ids), tensor<U>(dev, {}, updates));
  CHECK(error(elements(y), times(truth, sum_of_addends<U>())) < 1e-6);
}
template <class M>
void all_scatters(Host& dev) {
  scatter<M, P<>, P<>, None>(dev);
  scatter<M, P<>, P<>, Axes<b, a>>(dev);
  scatter<M, P<a>, P<>, None>(dev);
  scatter<M, P<a>, P<a, b>, None>(dev);
  scatter<M, P<>, P<a>, b>(dev);
  scatter<M, P<>, P<None, b>, a>(dev);
  scatter<M, P<>, P<None, b, Partial<a>>, None>(dev);
}

}  // namespace

TEST_CASE("take along any dimension: ids, rows and columns sharded, pending sums of rows") {
  Host dev(1);
  CHECK(all_takes<Grid<2, 2>>(dev) == 9);
  CHECK(all_takes<Grid<1, 4>>(dev) == 11);  // an axis of size 1 may stand twice
  CHECK(all_takes<Grid<2, 3>>(dev) == 9);
  CHECK(dev.traffic().collectives == 0);
}

TEST_CASE(
    "take_along_axis: the dimensions beside are sharded finer in one operand, the one looked along leaves a sum") {
  Host dev(1);
  CHECK(all_takes_along<Grid<2, 2>>(dev) == 8);
  CHECK(all_takes_along<Grid<2, 3>>(dev) == 8);
  CHECK(dev.traffic().most_bytes() == 0);
}

TEST_CASE("scatter_add: tokens leave a pending sum, rows are sharded for free") {
  Host dev(1);
  all_scatters<Grid<2, 2>>(dev);
  all_scatters<Grid<1, 2>>(dev);
  all_scatters<Grid<2, 3>>(dev);
  CHECK(dev.traffic().collectives == 0);

  using M = Grid<2, 2>;
  using Ids = X<Shape<4>, P<a>, M, i32>;
  using U = X<Shape<4, 6>, P<a, b>, M>;
  using Y = decltype(scatter_add<12>(dev, Ids{}, U{}));
  static_assert(std::is_same_v<Y::spec, P<None, b, Partial<a>>>);
}

TEST_CASE("scatter_add is the transpose of take: <take(t), u> = <t, scatter_add(u)>") {
  Host dev(1);
  using M = Grid<2, 3>;
  using T = X<Shape<12, 6>, P<None, b>, M>;
  using I = X<Shape<4>, P<a>, M, i32>;
  using U = X<Shape<4, 6>, P<a, b>, M>;
  const auto t = random(6, 72), u = random(7, 24);
  const std::vector<i32> id = {3, 3, 0, 11};
  const auto ids = tensor<I>(dev, {}, id);
  const auto rows = elements(take(dev, tensor<T>(dev, {}, t), ids));
  const auto sums = elements(scatter_add<12>(dev, ids, tensor<U>(dev, {}, u)));
  f64 left = 0, right = 0;
  for (std::size_t i = 0; i < 24; ++i) left += static_cast<f64>(rows[i]) * static_cast<f64>(u[i]);
  for (std::size_t i = 0; i < 72; ++i) right += static_cast<f64>(t[i]) * static_cast<f64>(sums[i]);
  CHECK(left == doctest::Approx(right));
}

TEST_CASE("one_hot(ids) times a table is take, in spec and value") {
  Host dev(1);
  using M = Grid<2, 3>;
  using T = X<Shape<12, 6>, P<b>, M>;
  using I = X<Shape<4>, P<a>, M, i32>;
  using H = X<Shape<4, 12>, P<a>, M>;
  const auto t = random(6, 72);
  const std::vector<i32> id = {3, 3, 0, 11};
  std::vector<f32> one_hot(48);
  for (std::size_t i = 0; i < 4; ++i) one_hot[i * 12 + static_cast<std::size_t>(id[i])] = 1;
  const auto table = tensor<T>(dev, {}, t);
  const auto taken = take(dev, table, tensor<I>(dev, {}, id));
  const auto product =
      einsum<Labels<'t', 'v'>, Labels<'v', 'd'>, Labels<'t', 'd'>>(dev, tensor<H>(dev, {}, one_hot), table);
  static_assert(std::is_same_v<decltype(taken), decltype(product)>);
  CHECK(elements(taken) == elements(product));
}

TEST_CASE("ids outside the table, and extents that differ, are errors") {
  Host dev(1);
  using M = Grid<2, 2>;
  using T = X<Shape<12, 6>, P<a>, M>;
  using I = X<Shape<4>, P<>, M, i32>;
  using U = X<Shape<dyn, 6>, P<>, M>;
  const auto t = tensor<T>(dev, {}, random(6, 72));
  const auto ids = [&](i32 one) { return tensor<I>(dev, {}, std::vector<i32>{0, one, 2, 3}); };
  const auto updates = [&](index_t n) { return tensor<U>(dev, Extents<Shape<dyn, 6>>(n), random(1, 6 * n)); };
  CHECK_THROWS_WITH_AS(take(dev, t, ids(12)), "[take] token id 12 is outside the table of 12 rows", Error);
  CHECK_THROWS_WITH_AS(scatter_add<12>(dev, ids(-1), updates(4)), "[take] token id -1 is outside the table of 12 rows",
                       Error);
  CHECK_THROWS_WITH_AS(scatter_add<12>(dev, ids(1), updates(6)),
                       "[scatter_add] dimension 0 of the ids has extent 4, dimension 0 of the updates 6", Error);
  CHECK(scatter_add<dyn>(dev, ids(1), updates(4), 20).extent(0) == 20);
}
