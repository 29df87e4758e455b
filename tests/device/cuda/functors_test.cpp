// Every function of elements, lines and indices gives on a GPU what it gives on Host, whatever the type and the shape.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <limits>

#include <tess/device/cuda/element_verbs.hpp>
#include <tess/device/cuda/structure_verbs.hpp>
#include <tess/device/cuda/upload.hpp>
#include <tess/nn/activations.hpp>
#include <tess/nn/router_losses.hpp>
#include <tess/ops/layer_norm.hpp>
#include <tess/ops/one_hot.hpp>
#include <tess/ops/softmax.hpp>
#include <tess/ops/sort.hpp>

#include "support/both_devices.hpp"

using namespace support;

namespace {

struct Gpus : cuda::Base, cuda::ElementVerbs<Gpus>, cuda::StructureVerbs<Gpus> {
  using Base::Base;
};

struct a;
struct b;
using Grid = Mesh<Axis<a, 2>, Axis<b, 2>>;
template <class T, class S, class Spec = P<>, class M = Mesh<>>
using X = ShardedTensor<T, S, M, Spec, Host>;
using Vector = Shape<dyn>;
using Plane = Shape<dyn, dyn>;
using Cube = Shape<dyn, dyn, dyn>;

struct Fixture {
  Gpus dev{cuda::Options{}};
  BothDevices<Gpus> both{dev};

  /// Same number, or both NaN, up to `tolerance` of the larger of 1 and the number.
  template <class Y, class Z>
  void same(f64 tolerance, const Y& y, const Z& z) {
    const auto found = both.elements(y), truth = support::elements(z);
    REQUIRE(found.size() == truth.size());
    for (std::size_t i = 0; i < truth.size(); ++i) {
      const f64 f = static_cast<f64>(found[i]), t = static_cast<f64>(truth[i]);
      CAPTURE(i);
      CAPTURE(f);
      CAPTURE(t);
      CHECK((f == t || (f != f && t != t) || std::abs(f - t) <= tolerance * std::max(1.0, std::abs(t))));
    }
  }
  template <class Op, class... T>
  void check(f64 tolerance, Op op, const Both<T, Gpus>&... x) {
    same(tolerance, op(dev, x.device...), op(both.host, x.host...));
  }
};

constexpr f32 nan_f32 = std::numeric_limits<f32>::quiet_NaN(), inf_f32 = std::numeric_limits<f32>::infinity();

/// Numbers of all sizes, and those at the edges.
std::vector<f32> difficult() {
  std::vector<f32> v{0.0f,    -0.0f,  1.0f,  -1.0f,  0.5f,    -2.5f,   3e-39f,   -3e-39f, 1e-20f, 1e20f,
                     3.4e38f, -90.0f, 88.6f, 100.0f, -100.0f, inf_f32, -inf_f32, nan_f32, 2.0f,   1e9f};
  for (int i = 0; i < 41; ++i) v.push_back(static_cast<f32>(std::ldexp(static_cast<f64>(noise(7, i)), i % 12 - 6)));
  return v;
}

template <class T>
void unary_functions(f64 one_rounding) {
  Fixture f;
  const auto v = difficult();
  const auto n = static_cast<index_t>(v.size());
  const auto x = f.both.tensor<X<T, Vector>>(Extents<Vector>{n}, v);
  const f64 few = std::is_same_v<T, bf16> ? one_rounding : 4e-7;
  f.check(
      0, [](auto& dev, const auto& t) { return neg(dev, t); }, x);
  f.check(
      few, [](auto& dev, const auto& t) { return tess::exp(dev, t); }, x);
  f.check(
      few, [](auto& dev, const auto& t) { return tess::tanh(dev, t); }, x);
  f.check(
      few, [](auto& dev, const auto& t) { return sigmoid(dev, t); }, x);
  f.check(
      0, [](auto& dev, const auto& t) { return add(dev, t, 0.25f); }, x);
  f.check(
      0, [](auto& dev, const auto& t) { return sub(dev, t, 0.75); }, x);
  f.check(
      0, [](auto& dev, const auto& t) { return mul(dev, t, 3); }, x);
  f.check(
      0, [](auto& dev, const auto& t) { return div(dev, t, 3); }, x);
  f.check(
      0, [](auto& dev, const auto& t) { return clamp(dev, -1, t, 2); }, x);
  f.check(
      0, [](auto& dev, const auto& t) { return reduce_precision<5, 10>(dev, t); }, x);
  f.check(
      0, [](auto& dev, const auto& t) { return cast<i32>(dev, t); }, x);
  f.check(
      0, [](auto& dev, const auto& t) { return cast<i32>(dev, cast<bool>(dev, t)); }, x);
  f.check(
      0, [](auto& dev, const auto& t) { return cast<f64>(dev, t); }, x);
  f.check(
      0, [](auto& dev, const auto& t) { return cast<bf16>(dev, t); }, x);
  if constexpr (local::computed_in_f32<T>) {
    f.check(
        1e-6, [](auto& dev, const auto& t) { return map<f32>(dev, nn::Silu{}, t); }, x);
    f.check(
        1e-6, [](auto& dev, const auto& t) { return map<f32>(dev, nn::GeluTanh{}, t); }, x);
    f.check(
        0, [](auto& dev, const auto& t) { return map<f32>(dev, nn::SquaredRelu{}, t); }, x);
    f.check(
        1e-6, [](auto& dev, const auto& t) { return map<f32>(dev, nn::ClampedSwiGLU{}, t, t); }, x);
    f.check(
        1e-6, [](auto& dev, const auto& t) { return map<f32>(dev, nn::GatedBy<nn::Silu>{}, t, t); }, x);
  }
}

template <class T>
void lines_of(Fixture& f, index_t B, index_t T_, index_t D, f64 tolerance) {
  CAPTURE(B);
  CAPTURE(T_);
  CAPTURE(D);
  const auto x = f.both.random<X<T, Cube>>(B + 3 * T_ + 7 * D, Extents<Cube>{B, T_, D}, 3);
  const auto whole = [&](auto op) { f.check(tolerance, op, x); };
  whole([](auto& dev, const auto& t) { return sum<2>(dev, t); });
  whole([](auto& dev, const auto& t) { return sum<0>(dev, t); });
  whole([](auto& dev, const auto& t) { return sum<0, 2>(dev, t, keep_dims); });
  whole([](auto& dev, const auto& t) { return mean<0, 1>(dev, t); });
  whole([](auto& dev, const auto& t) { return max<1>(dev, t); });
  whole([](auto& dev, const auto& t) { return min<2>(dev, t); });
  if constexpr (std::is_floating_point_v<T>) whole([](auto& dev, const auto& t) { return prod<1>(dev, t); });
  whole([](auto& dev, const auto& t) { return var<2>(dev, t); });
  whole([](auto& dev, const auto& t) { return var<1>(dev, t); });
  whole([](auto& dev, const auto& t) { return logsumexp<2>(dev, t); });
  whole([](auto& dev, const auto& t) { return logsumexp<0>(dev, t); });
  if (B * T_ * D > 0) {
    whole([](auto& dev, const auto& t) { return argmax<2>(dev, t); });
    whole([](auto& dev, const auto& t) { return argmax<1>(dev, t); });
  }
  whole([](auto& dev, const auto& t) { return softmax<f32>(dev, t); });
  whole([](auto& dev, const auto& t) { return softmax<f32, 1>(dev, t); });
  whole([](auto& dev, const auto& t) { return tess::sort<2>(dev, t); });
  whole([](auto& dev, const auto& t) { return tess::sort<0>(dev, t); });
  whole([](auto& dev, const auto& t) { return argsort<2>(dev, t); });
  whole([](auto& dev, const auto& t) { return argsort<1>(dev, t); });
  whole([](auto& dev, const auto& t) { return cumsum<2>(dev, t); });
  whole([](auto& dev, const auto& t) { return cumsum<1>(dev, t); });
  if (D >= 3) {
    whole([](auto& dev, const auto& t) { return top_k<2, 3>(dev, t).values; });
    whole([](auto& dev, const auto& t) { return top_k<2, 3>(dev, t).indices; });
  }
}

}  // namespace

TEST_CASE("functions of one element: numbers at the edges, f32, bf16 and f64") {
  unary_functions<f32>(4e-7);
  unary_functions<bf16>(1.0 / 128);
  unary_functions<f64>(4e-7);
}

TEST_CASE("functions of two and three elements, also of integers and truth values") {
  Fixture f;
  const auto v = difficult();
  const auto n = static_cast<index_t>(v.size());
  std::vector<f32> reversed(v.rbegin(), v.rend());
  const Extents<Vector> extents{n};
  const auto p = f.both.tensor<X<f32, Vector>>(extents, v);
  const auto q = f.both.tensor<X<f32, Vector>>(extents, reversed);
  const auto h = f.both.tensor<X<bf16, Vector>>(extents, reversed);
  const auto i = f.both.random<X<i32, Vector>>(1, extents, 9), j = f.both.random<X<i32, Vector>>(2, extents, 3);
  const auto both = [&](const auto& s, const auto& t) {
    f.check(
        0, [](auto& dev, const auto& x, const auto& y) { return add(dev, x, y); }, s, t);
    f.check(
        0, [](auto& dev, const auto& x, const auto& y) { return sub(dev, x, y); }, s, t);
    f.check(
        0, [](auto& dev, const auto& x, const auto& y) { return mul(dev, x, y); }, s, t);
    f.check(
        0, [](auto& dev, const auto& x, const auto& y) { return div(dev, x, y); }, s, t);
  };
  both(p, q), both(p, h), both(h, p), both(i, j);
  f.check(
      0, [](auto& dev, const auto& x, const auto& y) { return maximum(dev, x, y); }, p, q);
  f.check(
      0, [](auto& dev, const auto& x, const auto& y) { return minimum(dev, x, y); }, p, q);
  f.check(
      0, [](auto& dev, const auto& m, const auto& x, const auto& y) { return where(dev, m, x, y); }, i, p, q);
  f.check(
      0, [](auto& dev, const auto& m, const auto& x) { return where(dev, cast<bool>(dev, m), x, x); }, i, p);
  f.check(
      0, [](auto& dev, const auto& m, const auto& x) { return where_else_zero(dev, m, x); }, i, h);
}

TEST_CASE("any number of elements, also none: runs of eight and what is left of them") {
  Fixture f;
  for (const index_t n : {0, 1, 7, 8, 9, 15, 16, 17, 1023, 1025}) {
    CAPTURE(n);
    const auto x = f.both.random<X<f32, Vector>>(n, Extents<Vector>{n});
    const auto y = f.both.random<X<bf16, Vector>>(n + 1, Extents<Vector>{n});
    f.check(
        0, [](auto& dev, const auto& s, const auto& t) { return add(dev, s, t); }, x, y);
    f.check(
        0, [](auto& dev, const auto& s, const auto& t) { return mul(dev, s, t); }, y, x);
  }
}

TEST_CASE("operands that stretch, or of which a device takes a part") {
  Fixture f;
  for (const index_t n : {1, 3, 6}) {
    const index_t e = 4 * n;
    const auto x = f.both.random<X<f32, Cube, P<a, None, b>, Grid>>(n, Extents<Cube>{2, n, e});
    const auto row = f.both.random<X<f32, Vector, P<>, Grid>>(n + 1, Extents<Vector>{e});
    const auto column = f.both.random<X<bf16, Shape<dyn, 1>, P<>, Grid>>(n + 2, Extents<Shape<dyn, 1>>{n});
    const auto one = f.both.random<X<f32, Shape<1, 1, 1>, P<>, Grid>>(n + 3, {});
    const auto coarse = f.both.random<X<f32, Cube, P<a>, Grid>>(n + 4, Extents<Cube>{2, n, e});
    const auto sum_of = [](auto& dev, const auto& s, const auto& t) { return add(dev, s, t); };
    f.check(0, sum_of, x, row);
    f.check(0, sum_of, x, column);
    f.check(0, sum_of, column, x);
    f.check(0, sum_of, x, one);
    f.check(0, sum_of, x, coarse);
    f.check(0, sum_of, coarse, x);
    const auto scale = f.both.random<X<f32, Vector>>(n + 5, Extents<Vector>{e});
    const auto rows = f.both.random<X<f32, Plane>>(n + 6, Extents<Plane>{n, e}, 5);
    f.check(
        1e-5, [](auto& dev, const auto& t, const auto& s) { return layer_norm<f32>(dev, t, s, s, 1e-5f); }, rows,
        scale);
  }
}

TEST_CASE("functions of lines along any dimension") {
  Fixture f;
  lines_of<f32>(f, 2, 3, 5, 1e-6);
  lines_of<f32>(f, 1, 1, 1, 1e-6);
  lines_of<f32>(f, 1, 2, 70, 1e-6);
  lines_of<f32>(f, 37, 1, 4, 1e-6);
  lines_of<bf16>(f, 2, 9, 33, 1.0 / 128);
  lines_of<f64>(f, 2, 4, 12, 1e-6);
  const auto wide = f.both.random<X<f32, Plane>>(3, Extents<Plane>{2, 1500}, 4);
  f.check(
      1e-6, [](auto& dev, const auto& t) { return softmax<f32>(dev, t); }, wide);
  f.check(
      1e-6, [](auto& dev, const auto& t) { return logsumexp<1>(dev, t); }, wide);
  f.check(
      1e-6, [](auto& dev, const auto& t) { return var<1>(dev, t); }, wide);
  f.check(
      0, [](auto& dev, const auto& t) { return argmax<1>(dev, t); }, wide);
  const auto none = f.both.random<X<f32, Plane>>(3, Extents<Plane>{3, 0});
  f.check(
      0, [](auto& dev, const auto& t) { return sum<1>(dev, t); }, none);
  f.check(
      0, [](auto& dev, const auto& t) { return max<1>(dev, t); }, none);
  f.check(
      0, [](auto& dev, const auto& t) { return sum<0>(dev, t); }, none);
}

TEST_CASE("lines of numbers at the edges: NaN wins, equal ones keep their order, infinities stay") {
  Fixture f;
  const auto v = difficult();
  const auto n = static_cast<index_t>(v.size());
  std::vector<f32> lines;
  for (const index_t keep : {n, index_t{16}, index_t{17}, index_t{2}}) {  // -0 and 0, infinities, NaN in some
    for (index_t i = 0; i < n; ++i) lines.push_back(v[static_cast<std::size_t>(i % keep)]);
  }
  for (const f32 x : {inf_f32, -inf_f32, nan_f32}) lines.insert(lines.end(), static_cast<std::size_t>(n), x);
  const auto x = f.both.tensor<X<f32, Plane>>(Extents<Plane>{7, n}, lines);
  f.check(
      0, [](auto& dev, const auto& t) { return max<1>(dev, t); }, x);
  f.check(
      0, [](auto& dev, const auto& t) { return min<1>(dev, t); }, x);
  f.check(
      0, [](auto& dev, const auto& t) { return argmax<1>(dev, t); }, x);
  f.check(
      1e-6, [](auto& dev, const auto& t) { return logsumexp<1>(dev, t); }, x);
  f.check(
      0, [](auto& dev, const auto& t) { return tess::sort<1>(dev, t); }, x);
  f.check(
      0, [](auto& dev, const auto& t) { return argsort<1>(dev, t); }, x);
  f.check(
      0, [](auto& dev, const auto& t) { return top_k<1, 9>(dev, t).indices; }, x);
  f.check(
      0, [](auto& dev, const auto& t) { return argmax<0>(dev, t); }, x);
}

TEST_CASE("integers: sums are exact, quotients are cut off, orders are stable") {
  Fixture f;
  const auto x = f.both.random<X<i32, Plane>>(5, Extents<Plane>{6, 29}, 1e6);
  const auto few = f.both.random<X<i32, Plane>>(6, Extents<Plane>{6, 29}, 4);
  f.check(
      0, [](auto& dev, const auto& t) { return sum<1>(dev, t); }, x);
  f.check(
      0, [](auto& dev, const auto& t) { return max<0>(dev, t); }, x);
  f.check(
      0, [](auto& dev, const auto& t) { return cumsum<1>(dev, t); }, x);
  f.check(
      0, [](auto& dev, const auto& t) { return argsort<1>(dev, t); }, few);
  f.check(
      0, [](auto& dev, const auto& t) { return argmax<1>(dev, t); }, few);
  f.check(
      0, [](auto& dev, const auto& t) { return one_hot<4>(dev, t); }, few);
  f.check(
      1e-6, [](auto& dev, const auto& t) { return exp(dev, t); }, few);
}

TEST_CASE("indices count through the whole, on every shard") {
  Fixture f;
  using E = Extents<Plane>;
  f.same(0, iota<i32, Plane, Grid, P<a, b>, 0>(f.dev, E{4, 6}),
         iota<i32, Plane, Grid, P<a, b>, 0>(f.both.host, E{4, 6}));
  f.same(0, iota<f32, Plane, Grid, P<a, b>, 1>(f.dev, E{4, 6}),
         iota<f32, Plane, Grid, P<a, b>, 1>(f.both.host, E{4, 6}));
  f.same(0, full<bf16, Plane, Grid, P<b>>(f.dev, bf16(1.5f), E{2, 5}),
         full<bf16, Plane, Grid, P<b>>(f.both.host, bf16(1.5f), E{2, 5}));
}

TEST_CASE("the losses of routers") {
  Fixture f;
  const auto logits = f.both.random<X<f32, Cube>>(8, Extents<Cube>{2, 5, 6}, 3);
  const auto chosen = f.both.random<X<i32, Cube>>(9, Extents<Cube>{2, 5, 2}, 7);
  f.check(
      0, [](auto& dev, const auto& i, const auto& l) { return nn::detail::chosen(dev, i, l); }, chosen, logits);
  f.check(
      1e-6, [](auto& dev, const auto& l) { return nn::z_loss(dev, l); }, logits);
  f.check(
      1e-6, [](auto& dev, const auto& l) { return nn::switch_loss(dev, l); }, logits);
  f.check(
      1e-6, [](auto& dev, const auto& l) { return nn::gshard_loss(dev, l); }, logits);
}
