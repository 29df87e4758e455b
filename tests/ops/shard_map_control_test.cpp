// Control flow in shard_map: which branch runs where, how long loops turn, and what is billed for it.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/ops/shard_map.hpp>

#include "support/tensors.hpp"

using namespace support;

namespace {

struct data;
struct model;
using M = Mesh<Axis<data, 4>, Axis<model, 2>>;
using X = ShardedTensor<f32, Shape<8>, M, P<data>, Host>;  // two numbers a device

X numbers(Host& dev, const std::vector<f32>& values) { return tensor<X>(dev, Extents<Shape<8>>{}, values); }
const std::vector<f32> one_to_eight{1, 2, 3, 4, 5, 6, 7, 8};

template <class Body>
constexpr Cost bill(Body body) {
  Dry dry;
  (void)shard_map<In<P<data>>, Out<P<data>>>(dry, body, ShardedTensor<f32, Shape<8>, M, P<data>>{});
  return dry.cost;
}

}  // namespace

TEST_CASE("a predicate that is equal everywhere: one branch runs, and the bill is that of the dearer one") {
  Host dev(1);
  // Devices stay together, so branches may capture, and hold collectives.
  const auto body = [](auto x) {
    const auto all = psum<data>(sum(x));
    return cond(
        all > 20, [&] { return x + psum<data>(x); }, [&] { return x - all; });
  };
  constexpr auto all_reduce = [](index_t size) { return received_elements(Collective::all_reduce, size, 4) * 4; };
  constexpr Cost either = bill(body);
  static_assert(either.collectives == 2 && either.bytes == all_reduce(1) + all_reduce(2));

  const auto large = shard_map<In<P<data>>, Out<P<data>>>(dev, body, numbers(dev, one_to_eight));
  CHECK(elements(large) == std::vector<f32>{17, 22, 19, 24, 21, 26, 23, 28});
  CHECK(dev.traffic().collectives == 2);
  dev.reset_traffic();
  const auto small = shard_map<In<P<data>>, Out<P<data>>>(dev, body, numbers(dev, {1, 0, 0, 0, 0, 0, 0, 1}));
  CHECK(elements(small) == std::vector<f32>{-1, -2, -2, -2, -2, -2, -2, -1});
  CHECK(dev.traffic().collectives == 1);
}

TEST_CASE("a predicate that varies: each device takes its own way") {
  Host dev(1);
  const auto body = [](auto x) {
    return cond(
        sum(x) > 8, [](auto b) { return b * 10; }, [](auto b) { return -b; }, x);
  };
  const auto y = shard_map<In<P<data>>, Out<P<data>>>(dev, body, numbers(dev, one_to_eight));
  CHECK(elements(y) == std::vector<f32>{-1, -2, -3, -4, 50, 60, 70, 80});
}

TEST_CASE("devices that part along data may still meet along model: both branches are billed") {
  Host dev(1);
  const auto body = [](auto x) {
    const auto differs = x + axis_index<model>(x);
    return cond(
        sum(x) > 8, [](auto b) { return psum<model>(b); }, [](auto b) { return pmax<model>(b); }, differs);
  };
  const auto y = shard_map<In<P<data>>, Out<P<data>>>(dev, body, numbers(dev, one_to_eight));
  CHECK(elements(y) == std::vector<f32>{2, 3, 4, 5, 11, 13, 15, 17});
  constexpr Cost cost = bill(body);
  static_assert(cost.collectives == 2);
  check_traffic(dev, cost);
}

TEST_CASE("switch_ takes the first branch below 0 and the last one above, as JAX does") {
  Host dev(1);
  const auto body = [](auto x) {
    return switch_(axis_index<data>(x) - 1,
                   Branches([](auto b) { return b * 0; }, [](auto b) { return b; }, [](auto b) { return b * 100; }), x);
  };
  const auto y = shard_map<In<P<data>>, Out<P<data>>>(dev, body, numbers(dev, one_to_eight));
  CHECK(elements(y) == std::vector<f32>{0, 0, 0, 0, 5, 6, 700, 800});  // -1, 0, 1, 2
}

TEST_CASE("while_loop: devices that are done keep what they have while others go on") {
  Host dev(1);
  // [quote:while]
  // Doubles until the sum passes 40: every device its own number of times.
  const auto body = [](auto x) {
    return while_loop([](auto b) { return sum(b) < 40; }, [](auto b) { return b * 2; }, x);
  };
  // [/quote]
  const auto y = elements(shard_map<In<P<data>>, Out<P<data>>>(dev, body, numbers(dev, one_to_eight)));
  CHECK(y == std::vector<f32>{16, 32, 24, 32, 20, 24, 28, 32});
}

TEST_CASE("while_loop on what is equal everywhere turns for all together, collectives and all; it has no bill") {
  Host dev(1);
  const auto body = [](auto x) {
    return while_loop([](auto b) { return psum<data>(sum(b)) < 100; }, [](auto b) { return b + pmean<data>(b); }, x);
  };
  const auto y = shard_map<In<P<data>>, Out<P<data>>>(dev, body, numbers(dev, one_to_eight));
  // Sum 36, then 72, then 144: two turns of one all-reduce, and three questions.
  CHECK(dev.traffic().collectives == 5);
  f32 total = 0;
  for (const f32 v : elements(y)) total += v;
  CHECK(total == 144);
  CHECK_THROWS_WITH_AS((void)bill(body), doctest::Contains("no bill"), Error);
}

TEST_CASE("fori_loop between numbers: a ring of ppermutes moves the bytes of an all-gather") {
  Host dev(1);
  // [quote:ring]
  // Blocks go round; every device adds what comes by.
  const auto ring = [](auto x) {
    const auto step = [](auto, auto sum, auto block) {
      const auto next = ppermute<data, Send<0, 1>, Send<1, 2>, Send<2, 3>, Send<3, 0>>(block);
      return carry(sum + next, next);
    };
    return std::get<0>(fori_loop(0, 3, step, x, x));
  };
  // [/quote]
  const auto direct = [](auto x) { return pvary<data>(psum<data>(x)); };
  const auto x = numbers(dev, one_to_eight);
  const auto by_ring = shard_map<In<P<data>>, Out<P<data>>>(dev, ring, x);
  constexpr Cost cost = bill(ring);
  static_assert(cost.collectives == 3 && cost.bytes == 3 * 2 * 4);
  check_traffic(dev, cost);
  CHECK(elements(by_ring) == elements(shard_map<In<P<data>>, Out<P<data>>>(dev, direct, x)));
  static_assert(bill([](auto b) { return all_gather<0, data>(b); }).bytes == cost.bytes);
}

TEST_CASE("fori_loop up to a number of the device: the trip count varies, and so does the result") {
  Host dev(1);
  const auto body = [](auto x) {
    return fori_loop(
        0, axis_index<data>(x), [](auto i, auto c) { return c + i; }, x);
  };
  const auto y = shard_map<In<P<data>>, Out<P<data>>>(dev, body, numbers(dev, {0, 0, 0, 0, 0, 0, 0, 0}));
  CHECK(elements(y) == std::vector<f32>{0, 0, 0, 0, 1, 1, 3, 3});
}

TEST_CASE("a loop that does not turn gives what went in") {
  Host dev(1);
  const auto body = [](auto x) {
    return fori_loop(
        5, 5, [](auto, auto c) { return c * 0; }, x);
  };
  CHECK(elements(shard_map<In<P<data>>, Out<P<data>>>(dev, body, numbers(dev, one_to_eight))) == one_to_eight);
}
