// Reductions: over a sharded dimension what adds up stays pending; what needs whole lines is refused, or has a name.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/ops/rms_norm.hpp>
#include <tess/ops/softmax.hpp>

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

TEST_CASE_TEMPLATE("a sum, a mean, a maximum or a minimum over a sharded dimension is pending over its axes", M,
                   Grid<2, 2>, Grid<1, 4>, Grid<2, 3>) {
  Host dev(1);
  const auto x = pair<X<M, P<data, model>>>(dev, 1);
  const auto s = check_local(
      dev, [](auto& d, const auto& a) { return sum<1>(d, a); }, x);
  static_assert(lies<decltype(s), M, P<data, Partial<model>>>);
  const auto all = check_local(
      dev, [](auto& d, const auto& a) { return sum<0, 1>(d, a); }, x);
  static_assert(lies<decltype(all), M, P<Partial<data, model>>>);
  const auto kept = check_local(
      dev, [](auto& d, const auto& a) { return sum<-1>(d, a, keep_dims); }, x);
  static_assert(lies<decltype(kept), M, P<data, None, Partial<model>>>);
  check_local(
      dev, [](auto& d, const auto& a) { return mean<0>(d, a); }, x);
  const auto largest = check_local(
      dev, [](auto& d, const auto& a) { return max<1>(d, a); }, x);
  static_assert(lies<decltype(largest), M, P<data, PartialMax<model>>>);
  const auto smallest = check_local(
      dev, [](auto& d, const auto& a) { return min<0>(d, a); }, x);
  static_assert(lies<decltype(smallest), M, P<model, PartialMin<data>>>);
}

TEST_CASE("whole lines are reduced to what they are, of any number type") {
  Host dev(1);
  using M = Grid<2, 2>;
  const auto x = pair<X<M, P<data>>>(dev, 1);
  const auto check = [&](auto op, auto spec) {
    const auto y = check_local(dev, op, x);
    static_assert(lies<decltype(y), M, decltype(spec)>);
  };
  check([](auto& d, const auto& a) { return sum<1>(d, a); }, P<data>{});
  check([](auto& d, const auto& a) { return prod<1>(d, div(d, a, 4)); }, P<data>{});
  check([](auto& d, const auto& a) { return var<1>(d, a); }, P<data>{});
  check([](auto& d, const auto& a) { return logsumexp<1>(d, a); }, P<data>{});
  check([](auto& d, const auto& a) { return argmax<1>(d, a); }, P<data>{});
  check([](auto& d, const auto& a) { return argmax<-1>(d, a, keep_dims); }, P<data>{});
  check([](auto& d, const auto& a) { return cast<i32>(d, any<1>(d, cast<bool>(d, cast<i32>(d, a)))); }, P<data>{});
  check([](auto& d, const auto& a) { return cast<i32>(d, all<1>(d, cast<bool>(d, cast<i32>(d, a)))); }, P<data>{});

  const auto n =
      tensor<X<M, P<None, model>, Shape<2, 4>, i32>>(dev, {}, std::vector<index_t>{1 << 30, 1, -5, 3, 4, 9, 9, 0});
  CHECK(elements(sum<0>(dev, n)) == std::vector<i32>{(1 << 30) + 4, 10, 4, 3});
  CHECK(elements(max<0>(dev, n)) == std::vector<i32>{1 << 30, 9, 9, 3});
  CHECK(elements(argmax<1>(dev, gather<1>(dev, n))) == std::vector<i32>{0, 1});  // the first of equal ones
}

TEST_CASE("a logarithm of a sum of exponentials does not overflow, and infinities are numbers") {
  Host dev(1);
  using M = Grid<1, 1>;
  const f32 inf = std::numeric_limits<f32>::infinity();
  const auto x = tensor<X<M, P<>, Shape<3, 2>>>(dev, {}, std::vector<f32>{1000, 1000, -inf, 0, -inf, -inf});
  const auto y = elements(logsumexp<1>(dev, x));
  CHECK(y[0] == doctest::Approx(1000 + std::log(2.0)));
  CHECK(y[1] == 0);
  CHECK(y[2] == -inf);
}

TEST_CASE("a pending sum is summed further, a pending maximum maximised further") {
  Host dev(1);
  using M = Grid<2, 3>;
  const auto x = pair<X<M, P<None, model, Partial<data>>>>(dev, 1);
  const auto y = check_local(
      dev, [](auto& d, const auto& a) { return sum<1>(d, a); }, x);
  static_assert(lies<decltype(y), M, P<None, Partial<data, model>>>);
  const auto z = check_local(
      dev, [](auto& d, const auto& a) { return max<1>(d, a); }, pair<X<M, P<None, model, PartialMax<data>>>>(dev, 2));
  static_assert(lies<decltype(z), M, P<None, PartialMax<data, model>>>);
}

TEST_CASE_TEMPLATE("softmax of whole lines moves nothing; of lines over devices it is a name with a bill", M,
                   Grid<2, 2>, Grid<1, 4>, Grid<2, 3>) {
  Host dev(1);
  const auto local = [](auto& d, const auto& a) { return softmax(d, a); };
  const auto spread = [](auto& d, const auto& a) { return softmax_sharded(d, a); };
  const auto x = pair<X<M, P<data>>>(dev, 1);
  const auto y = check_local(dev, local, x);
  static_assert(lies<decltype(y), M, P<data>>);
  CHECK(elements(y) == elements(spread(dev, x.sharded)));
  check_local(
      dev, [](auto& d, const auto& a) { return softmax<f32, 0>(d, a); }, pair<X<M, P<None, model>>>(dev, 2));

  const auto z = check_equals_whole(dev, spread, pair<X<M, P<data, model>>>(dev, 3));
  static_assert(lies<decltype(z), M, P<data, model>>);
  CHECK(dev.traffic().collectives == 2);  // the maximum and the sum of each line
}

TEST_CASE_TEMPLATE("each function of whole lines has a form for lines over devices, two small reductions", M,
                   Grid<2, 2>, Grid<2, 3>) {
  Host dev(1);
  const auto x = pair<X<M, P<data, model>>>(dev, 1);
  const auto check = [&](auto op) {
    check_equals_whole(dev, op, x);
    CHECK(dev.traffic().collectives == 2);
  };
  check([](auto& d, const auto& a) { return logsumexp_sharded<1>(d, a); });
  check([](auto& d, const auto& a) { return var_sharded<1>(d, a); });
  check([](auto& d, const auto& a) { return argmax_sharded<1>(d, a); });
  check([](auto& d, const auto& a) { return argmax_sharded<0>(d, a); });
}

TEST_CASE_TEMPLATE("rms_norm slices the coarser of rows and scale; rows over devices take one small sum", M, Grid<2, 2>,
                   Grid<1, 4>, Grid<2, 3>) {
  Host dev(1);
  const auto norm = [](auto& d, const auto& a, const auto& s) { return rms_norm<f32>(d, a, s, 1e-5f); };
  const auto spread = [](auto& d, const auto& a, const auto& s) { return rms_norm_sharded<f32>(d, a, s, 1e-5f); };
  const auto rows = pair<X<M, P<data>>>(dev, 1);
  const auto scale = pair<X<M, P<>, Shape<24>>>(dev, 2);
  check_local(dev, norm, rows, scale);
  const auto y = check_local(dev, norm, rows, pair<X<M, P<model>, Shape<24>>>(dev, 2));
  static_assert(lies<decltype(y), M, P<data, model>>);
  check_equals_whole(dev, spread, pair<X<M, P<data, model>>>(dev, 3), scale);
  CHECK(dev.traffic().collectives == 1);
}
