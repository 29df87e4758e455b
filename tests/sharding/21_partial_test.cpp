// Pending values: each device holds a part. What commutes with putting the parts together acts on them; the rest waits.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/ops/create.hpp>
#include <tess/ops/elementwise.hpp>
#include <tess/ops/reduction.hpp>

#include "support/whole.hpp"

using namespace support;

namespace {

struct data;
struct model;
template <index_t A, index_t B>
using Grid = Mesh<Axis<data, A>, Axis<model, B>>;

template <class M, class Spec, class S = Shape<12, 24>, class T = f32>
using X = ShardedTensor<T, S, M, Spec, Host>;

template <class Y, class M, class Spec>
constexpr bool lies = std::is_same_v<typename Y::spec, normal_form<Spec, M, Y::rank>>;

}  // namespace

TEST_CASE_TEMPLATE("linear functions act on the addends of a pending sum: Σ f(a) = f(Σ a)", M, Grid<2, 2>, Grid<1, 4>,
                   Grid<2, 3>) {
  Host dev(1);
  const auto u = pair<X<M, P<data, Partial<model>>>>(dev, 1);
  const auto stays = [&](auto op, const auto&... x) {
    const auto y = check_local(dev, op, x...);
    static_assert(lies<decltype(y), M, P<data, Partial<model>>>);
  };
  stays([](auto& d, const auto& a) { return neg(d, a); }, u);
  stays([](auto& d, const auto& a) { return mul(d, a, 2.5); }, u);
  stays([](auto& d, const auto& a) { return div(d, a, 2); }, u);
  stays([](auto& d, const auto& a) { return cast<f64>(d, a); }, u);
  stays([](auto& d, const auto& a, const auto& b) { return add(d, a, b); }, u,
        pair<X<M, P<data, Partial<model>>>>(dev, 2));
  stays([](auto& d, const auto& a, const auto& b) { return sub(d, a, b); }, u, pair<X<M, P<Partial<model>>>>(dev, 3));
}

TEST_CASE_TEMPLATE("a product of a pending sum and a factor that is whole along its axes is pending", M, Grid<2, 2>,
                   Grid<2, 3>) {
  Host dev(1);
  const auto product = [](auto& d, const auto& a, const auto& b) { return mul(d, a, b); };
  const auto u = pair<X<M, P<Partial<model>>>>(dev, 1);
  const auto y = check_local(dev, product, u, pair<X<M, P<data>>>(dev, 2));
  static_assert(lies<decltype(y), M, P<data, Partial<model>>>);
  check_local(dev, product, pair<X<M, P<>, Shape<24>>>(dev, 3), u);
  check_local(dev, product, u, pair<X<M, P<>, Shape<>>>(dev, 4));  // a scalar
  check_local(
      dev, [](auto& d, const auto& a, const auto& b) { return div(d, a, exp(d, b)); }, u, pair<X<M, P<data>>>(dev, 5));
  check_local(
      dev, [](auto& d, const auto& m, const auto& a) { return where_else_zero(d, m, a); },
      pair<X<M, P<>, Shape<24>, i32>>(dev, 6), u);
  // Two pending sums over different axes: each is whole along the other's.
  const auto z = check_local(dev, product, u, pair<X<M, P<Partial<data>>>>(dev, 7));
  static_assert(lies<decltype(z), M, P<Partial<data, model>>>);
}

TEST_CASE_TEMPLATE(
    "functions that never fall act on the parts of a pending maximum; those that never rise turn it into a "
    "minimum",
    M, Grid<2, 2>, Grid<2, 3>) {
  Host dev(1);
  const auto a = pair<X<M, P<data, PartialMax<model>>>>(dev, 1), b = pair<X<M, P<data, PartialMax<model>>>>(dev, 2);
  const auto c = pair<X<M, P<data, PartialMin<model>>>>(dev, 3);
  const auto whole = pair<X<M, P<data>>>(dev, 4);
  const auto gives = [&](auto spec, auto op, const auto&... x) {
    const auto y = check_local(dev, op, x...);
    static_assert(lies<decltype(y), M, decltype(spec)>);
  };
  const P<data, PartialMax<model>> largest;
  const P<data, PartialMin<model>> smallest;
  gives(
      largest, [](auto& d, const auto& x) { return exp(d, x); }, a);
  gives(
      largest, [](auto& d, const auto& x) { return clamp(d, -2, x, 2); }, a);
  gives(
      largest, [](auto& d, const auto& x) { return cast<i32>(d, x); }, a);
  gives(
      largest, [](auto& d, const auto& x, const auto& y) { return maximum(d, x, y); }, a, b);
  gives(
      largest, [](auto& d, const auto& x, const auto& y) { return minimum(d, x, y); }, a, whole);
  gives(
      largest, [](auto& d, const auto& x, const auto& y) { return add(d, x, y); }, a, whole);
  gives(
      largest, [](auto& d, const auto& x, const auto& y) { return sub(d, x, y); }, whole, c);  // w - min = max(w - …)
  gives(
      smallest, [](auto& d, const auto& x) { return neg(d, x); }, a);
  gives(
      smallest, [](auto& d, const auto& x, const auto& y) { return minimum(d, x, y); }, c, c);
  gives(
      smallest, [](auto& d, const auto& x, const auto& y) { return sub(d, x, y); }, whole, a);
}

TEST_CASE("a choice between two pending values is pending, whatever the mask") {
  Host dev(1);
  using M = Grid<2, 3>;
  const auto choose = [](auto& d, const auto& m, const auto& a, const auto& b) { return where(d, m, a, b); };
  const auto mask = pair<X<M, P<data>, Shape<12, 1>, i32>>(dev, 1);
  check_local(dev, choose, mask, pair<X<M, P<Partial<model>>>>(dev, 2), pair<X<M, P<Partial<model>>>>(dev, 3));
  check_local(dev, choose, mask, pair<X<M, P<PartialMax<model>>>>(dev, 4), pair<X<M, P<PartialMax<model>>>>(dev, 5));
  check_local(dev, choose, mask, pair<X<M, P<PartialMin<model>>>>(dev, 6), pair<X<M, P<>>>(dev, 7));
}
