// Copies, lookups, products by labels and blocks of shard_map on a GPU: what Host gives, for odd and even shapes.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/device/cuda/block_verbs.hpp>
#include <tess/device/cuda/element_verbs.hpp>
#include <tess/device/cuda/exchange_verbs.hpp>
#include <tess/device/cuda/lookup_verbs.hpp>
#include <tess/device/cuda/structure_verbs.hpp>
#include <tess/device/cuda/upload.hpp>
#include <tess/ops/concatenate.hpp>
#include <tess/ops/dynamic_slice.hpp>
#include <tess/ops/einsum.hpp>
#include <tess/ops/pad.hpp>
#include <tess/ops/roll.hpp>
#include <tess/ops/scatter_add.hpp>
#include <tess/ops/shard_map.hpp>
#include <tess/ops/slice.hpp>
#include <tess/ops/take.hpp>
#include <tess/ops/transpose.hpp>

#include "support/both_devices.hpp"

using namespace support;

namespace {

struct Gpus : cuda::Base,
              cuda::BlockVerbs<Gpus>,
              cuda::ElementVerbs<Gpus>,
              cuda::ExchangeVerbs<Gpus>,
              cuda::LookupVerbs<Gpus>,
              cuda::StructureVerbs<Gpus> {
  using Base::Base;
};

struct data;
struct model;
using Grid = Mesh<Axis<data, 2>, Axis<model, 2>>;
template <class T, class S, class Spec = P<>, class M = Mesh<>>
using X = ShardedTensor<T, S, M, Spec, Host>;
using Vector = Shape<dyn>;
using Plane = Shape<dyn, dyn>;
using Cube = Shape<dyn, dyn, dyn>;

struct Fixture {
  Gpus dev{cuda::Options{}};
  BothDevices<Gpus> both{dev};

  template <class Op, class... T>
  void check(f64 tolerance, Op op, const Both<T, Gpus>&... x) {
    both.check(tolerance, op, x...);
  }
};

template <class T>
void structural_operations(index_t B, index_t T_, index_t D) {
  Fixture f;
  CAPTURE(D);
  const auto x = f.both.random<X<T, Cube>>(B + D, Extents<Cube>{B, T_, D}, 100);
  const auto same = [&](auto op) { f.check(0, op, x); };
  same([](auto& dev, const auto& t) { return transpose<1, 0, 2>(dev, t); });
  same([](auto& dev, const auto& t) { return transpose<2, 0, 1>(dev, t); });
  same([](auto& dev, const auto& t) { return transpose<2, 1, 0>(dev, t); });
  same([](auto& dev, const auto& t) { return rev<2>(dev, t); });
  same([](auto& dev, const auto& t) { return rev<0, 1>(dev, t); });
  same([](auto& dev, const auto& t) { return roll<2>(dev, t, 3); });
  same([](auto& dev, const auto& t) { return roll<1>(dev, t, -1); });
  same([](auto& dev, const auto& t) { return pad<2, 1, 2>(dev, t); });
  same([](auto& dev, const auto& t) {
    return pad<1, 0, 1, 2>(dev, t, typename std::remove_cvref_t<decltype(t)>::value_type(7));
  });
  same([](auto& dev, const auto& t) { return concatenate<1>(dev, t, t); });
  same([](auto& dev, const auto& t) { return stack<2>(dev, t, t); });
  same([](auto& dev, const auto& t) { return tile<2, 3>(dev, t); });
  same([](auto& dev, const auto& t) { return repeat<1, 2>(dev, t); });
  same([](auto& dev, const auto& t) { return slice<2, 1, dyn, 2>(dev, t); });
  same([](auto& dev, const auto& t) { return index<0>(dev, t, -1); });
  if (D % 2 == 0) same([](auto& dev, const auto& t) { return rotate_half(dev, t); });
}

template <char... C>
using L = Labels<C...>;

}  // namespace

TEST_CASE("structural operations of elements of 1, 2, 4 and 8 bytes, in words as long as they allow") {
  structural_operations<f32>(2, 3, 5);
  structural_operations<f32>(1, 2, 8);
  structural_operations<bf16>(2, 3, 16);
  structural_operations<bf16>(3, 1, 7);
  structural_operations<f64>(2, 2, 4);
  structural_operations<i32>(1, 5, 1);
}

TEST_CASE("the same on shards, and windows that stick out") {
  Fixture f;
  const auto x = f.both.random<X<f32, Cube, P<data, None, model>, Grid>>(3, Extents<Cube>{4, 3, 6});
  f.check(
      0, [](auto& dev, const auto& t) { return transpose<2, 1, 0>(dev, t); }, x);
  f.check(
      0, [](auto& dev, const auto& t) { return slice<1, 1, 3>(dev, t); }, x);
  f.check(
      0, [](auto& dev, const auto& t) { return pad<1, 2, 0>(dev, t, 1.0f); }, x);
  const auto plane = f.both.random<X<f32, Plane>>(4, Extents<Plane>{4, 6});
  const auto patch = f.both.random<X<f32, Plane>>(5, Extents<Plane>{2, 3});
  f.check(
      0,
      [](auto& dev, const auto& t) {
        return dynamic_slice<Shape<2, 2>>(dev, t, {9, -3});
      },
      plane);
  f.check(
      0,
      [](auto& dev, const auto& t, const auto& u) {
        return dynamic_update_slice(dev, t, u, {3, 7});
      },
      plane, patch);
}

TEST_CASE("lookups of rows and along dimensions, and their transpose in the order of ids") {
  Fixture f;
  for (const index_t D : {1, 4, 9}) {
    CAPTURE(D);
    const auto table = f.both.random<X<f32, Plane>>(D, Extents<Plane>{7, D});
    const auto ids = f.both.tensor<X<i32, Plane>>(Extents<Plane>{2, 5}, std::vector<i32>{6, 0, 3, 3, 1, 5, 2, 6, 6, 4});
    const auto updates = f.both.random<X<bf16, Cube>>(D + 1, Extents<Cube>{2, 5, D});
    f.check(
        0, [](auto& dev, const auto& t, const auto& i) { return take(dev, t, i); }, table, ids);
    f.check(
        0, [](auto& dev, const auto& i, const auto& u) { return scatter_add<7>(dev, i, u); }, ids, updates);
    const auto wide = f.both.random<X<bf16, Plane>>(D + 2, Extents<Plane>{2, 7});
    f.check(
        0, [](auto& dev, const auto& t, const auto& i) { return take_along_axis<1>(dev, t, i); }, wide, ids);
    f.check(
        0, [](auto& dev, const auto& t, const auto& i) { return take<1>(dev, t, i); }, wide, ids);
  }
  const auto table = f.both.random<X<f32, Plane, P<model, data>, Grid>>(9, Extents<Plane>{8, 6});
  const auto ids = f.both.tensor<X<i32, Vector, P<>, Grid>>(Extents<Vector>{5}, std::vector<i32>{7, 0, 4, 3, 4});
  f.check(
      0, [](auto& dev, const auto& t, const auto& i) { return reduce(dev, take(dev, t, i)); }, table, ids);
  const auto updates = f.both.random<X<f32, Plane, P<None, model>, Grid>>(10, Extents<Plane>{5, 4});
  f.check(
      0, [](auto& dev, const auto& i, const auto& u) { return scatter_add<8, data>(dev, i, u); }, ids, updates);
}

TEST_CASE("an id outside the table is Host's error, once the GPU is asked") {
  for (const i32 wrong : {-1, 7}) {
    Fixture f;
    const auto table = f.both.random<X<f32, Plane>>(1, Extents<Plane>{7, 3});
    const auto ids = f.both.tensor<X<i32, Vector>>(Extents<Vector>{4}, std::vector<i32>{6, 0, wrong, 3});
    const auto updates = f.both.random<X<f32, Plane>>(2, Extents<Plane>{4, 3});
    const char* text = wrong < 0 ? "[take] token id -1 is outside the table of 7 rows"
                                 : "[take] token id 7 is outside the table of 7 rows";
    (void)take(f.dev, table.device, ids.device);
    CHECK_THROWS_WITH_AS(f.dev.wait(), text, Error);
    (void)scatter_add<7>(f.dev, ids.device, updates.device);
    CHECK_THROWS_WITH_AS(f.dev.wait(), text, Error);
    CHECK_NOTHROW(f.dev.wait());
  }
}

TEST_CASE("products by labels: any dimensions summed, tiles whole and cut") {
  Fixture f;
  const auto matrices = [&](index_t M, index_t K, index_t N) {
    CAPTURE(M);
    CAPTURE(K);
    CAPTURE(N);
    const auto x = f.both.random<X<f32, Plane>>(M, Extents<Plane>{M, K});
    const auto w = f.both.random<X<f32, Plane>>(N, Extents<Plane>{K, N});
    const auto t = f.both.random<X<bf16, Plane>>(N + 1, Extents<Plane>{N, K});
    f.check(
        1e-6,
        [](auto& dev, const auto& p, const auto& q) {
          return einsum<L<'m', 'k'>, L<'k', 'n'>, L<'m', 'n'>>(dev, p, q);
        },
        x, w);
    f.check(
        1e-6,
        [](auto& dev, const auto& p, const auto& q) {
          return einsum<L<'m', 'k'>, L<'n', 'k'>, L<'n', 'm'>>(dev, p, q);
        },
        x, t);
    f.check(
        1.0 / 128,
        [](auto& dev, const auto& p, const auto& q) {
          return einsum<L<'m', 'k'>, L<'n', 'k'>, L<'m', 'n'>, bf16>(dev, p, q);
        },
        x, t);
  };
  matrices(1, 1, 1), matrices(3, 17, 5), matrices(65, 16, 64), matrices(2, 0, 3), matrices(4, 33, 70);
  using E = Extents<Shape<dyn, dyn, dyn, dyn>>;
  using Four = Shape<dyn, dyn, dyn, dyn>;
  const auto q = f.both.random<X<f32, Four>>(1, E{2, 3, 4, 5});
  const auto k = f.both.random<X<f32, Four>>(2, E{2, 6, 4, 5});
  f.check(
      1e-6,
      [](auto& dev, const auto& x, const auto& w) {
        return einsum<L<'b', 't', 'h', 'd'>, L<'b', 's', 'h', 'd'>, L<'b', 'h', 't', 's'>>(dev, x, w);
      },
      q, k);
  f.check(
      1e-6,
      [](auto& dev, const auto& x, const auto& w) {
        return einsum<L<'b', 't', 'h', 'd'>, L<'b', 's', 'h', 'd'>, L<'h'>>(dev, x, w);
      },
      q, k);
  const auto i = f.both.random<X<i32, Plane>>(3, Extents<Plane>{5, 7}, 50),
             j = f.both.random<X<i32, Plane>>(4, Extents<Plane>{7, 3}, 50);
  f.check(
      0,
      [](auto& dev, const auto& x, const auto& w) { return einsum<L<'m', 'k'>, L<'k', 'n'>, L<'m', 'n'>>(dev, x, w); },
      i, j);
  const auto s = f.both.random<X<f64, Plane, P<None, model>, Grid>>(5, Extents<Plane>{6, 8});
  const auto t = f.both.random<X<f64, Plane, P<model, data>, Grid>>(6, Extents<Plane>{8, 4});
  f.check(
      1e-12,
      [](auto& dev, const auto& x, const auto& w) {
        return reduce(dev, einsum<L<'m', 'k'>, L<'k', 'n'>, L<'m', 'n'>>(dev, x, w));
      },
      s, t);
}

TEST_CASE("blocks of shard_map: device numbers, arithmetic, both ways of a predicate, loops that ask the GPU") {
  Fixture f;
  const auto x = f.both.random<X<f32, Vector, P<data>, Grid>>(3, Extents<Vector>{8}, 4);
  f.check(
      1e-6,
      [](auto& dev, const auto& t) {
        return shard_map<In<P<data>>, Out<P<data>>>(
            dev, [](auto b) { return b * 2 + axis_index<data>(b) - sum(b); }, t);
      },
      x);
  f.check(
      1e-6,
      [](auto& dev, const auto& t) {
        const auto body = [](auto b) {
          const auto all = psum<data>(sum(b));
          return cond(
              all > 0, [&] { return b + all; }, [&] { return b - all; });
        };
        return shard_map<In<P<data>>, Out<P<data>>>(dev, body, t);
      },
      x);
  f.check(
      1e-6,
      [](auto& dev, const auto& t) {
        const auto body = [](auto b) {
          return cond(
              sum(b) > 0, [](auto c) { return c * 10; }, [](auto c) { return -c; }, b);
        };
        return shard_map<In<P<data>>, Out<P<data>>>(dev, body, t);
      },
      x);
  f.check(
      1e-6,
      [](auto& dev, const auto& t) {
        const auto body = [](auto b) { return dynamic_slice<0, 2>(b, axis_index<data>(b) + 1); };
        return shard_map<In<P<data>>, Out<P<data>>>(dev, body, t);
      },
      x);
  f.check(
      1e-6,
      [](auto& dev, const auto& t) {
        const auto body = [](auto b) {
          return while_loop([](auto c) { return sum(c * c) < 1000; }, [](auto c) { return c * 3; }, b);
        };
        return shard_map<In<P<data>>, Out<P<data>>>(dev, body, t);
      },
      x);
}
