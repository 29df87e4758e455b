// shard_map on Host: every collective beside the reshard that it is from outside, in values, bytes and bill.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/ops/reshard.hpp>
#include <tess/ops/shard_map.hpp>
#include <tess/ops/softmax.hpp>
#include <tess/sharding/spec_text.hpp>

#include "support/tensors.hpp"

using namespace support;

namespace {

struct data;
struct model;
template <index_t D, index_t N>
using Grid = Mesh<Axis<data, D>, Axis<model, N>>;

constexpr index_t rows = 24, columns = 48;
using S = Shape<rows, columns>;

/// A tensor [24, 48]; of a pending sum every device has another addend.
template <class M, class Spec>
auto some(Host& dev) {
  return tensor<ShardedTensor<f32, S, M, Spec, Host>>(dev, Extents<S>{}, random(7, rows * columns));
}

/// Collective `inside` under shard_map gives what reshard<To> gives outside: the same elements for the same bytes.
/// Where the tensor is whole along another axis too, reshard may use that and be cheaper; a block does not know.
template <class M, class From, class To, bool SameBytes = true, class F>
void is_reshard(F inside) {
  INFO(spec_text<M>(spec_value<From, M, 2>) << " -> " << spec_text<M>(spec_value<To, M, 2>));
  Host dev(1);
  const auto x = some<M, From>(dev);
  const auto wanted = elements(reshard<To>(dev, x));
  const Traffic outside = dev.traffic();
  dev.reset_traffic();
  const auto y = shard_map<In<From>, Out<To>>(dev, inside, x);
  CHECK(elements(y) == wanted);
  if (SameBytes) CHECK(dev.traffic().bytes == outside.bytes);
  else CHECK(outside.most_bytes() <= dev.traffic().most_bytes());

  Dry dry;
  ShardedTensor<f32, S, M, From> described;
  (void)shard_map<In<From>, Out<To>>(dry, inside, described);
  CHECK(dry.cost.bytes == dev.traffic().most_bytes());
  CHECK(dry.cost.collectives == dev.traffic().collectives);
}

}  // namespace

TEST_CASE("an axis at a time, every collective is a reshard seen from one device") {
  const auto on = []<class M>(std::type_identity<M>) {
    CAPTURE(M::size);
    is_reshard<M, P<Partial<data>>, P<>, false>([](auto x) { return psum<data>(x); });
    is_reshard<M, P<None, model, Partial<data>>, P<None, model>>([](auto x) { return psum<data>(x); });
    is_reshard<M, P<Partial<model>>, P<None, model>, false>([](auto x) { return psum_scatter<1, model>(x); });
    is_reshard<M, P<data, Partial<model>>, P<data, model>>([](auto x) { return psum_scatter<1, model>(x); });
    is_reshard<M, P<data>, P<>>([](auto x) { return all_gather_invariant<0, data>(x); });
    is_reshard<M, P<data, model>, P<data>>([](auto x) { return all_gather_invariant<1, model>(x); });
    is_reshard<M, P<None, model>, P<model>>([](auto x) { return all_to_all<0, 1, model>(x); });
    is_reshard<M, P<data>, P<None, data>>([](auto x) { return all_to_all<1, 0, data>(x); });
    is_reshard<M, P<>, P<None, model>>([](auto x) { return own_part<1, model>(x); });
    is_reshard<M, P<data>, P<data, Reduced<model>>>([](auto x) { return preduced<model>(x); });
  };
  on(std::type_identity<Grid<2, 4>>{});
  on(std::type_identity<Grid<2, 3>>{});
  on(std::type_identity<Grid<1, 4>>{});
  on(std::type_identity<Grid<1, 1>>{});
}

TEST_CASE("over two axes at once, the first is major") {
  const auto on = []<class M>(std::type_identity<M>) {
    CAPTURE(M::size);
    is_reshard<M, P<Axes<data, model>>, P<>>([](auto x) { return all_gather_invariant<0, data, model>(x); });
    is_reshard<M, P<Axes<model, data>>, P<>>([](auto x) { return all_gather_invariant<0, model, data>(x); });
    is_reshard<M, P<Partial<data, model>>, P<>>([](auto x) { return psum<data, model>(x); });
    is_reshard<M, P<>, P<Axes<data, model>>>([](auto x) { return own_part<0, data, model>(x); });
    is_reshard<M, P<Partial<data, model>>, P<Axes<data, model>>>(
        [](auto x) { return psum_scatter<0, data, model>(x); });
    is_reshard<M, P<Axes<data, model>>, P<None, Axes<data, model>>>(
        [](auto x) { return all_to_all<1, 0, data, model>(x); });
  };
  on(std::type_identity<Grid<2, 4>>{});
  on(std::type_identity<Grid<2, 3>>{});
}

TEST_CASE("over a part of an axis: the pairs of a model axis of eight, and the two of a pair") {
  using M = Mesh<Axis<data, 2>, Axis<model, 4, 2>>;
  using pairs = Sub<model, 1, 4>;
  using within = Sub<model, 4, 2>;
  is_reshard<M, P<None, model>, P<None, pairs>>([](auto x) { return all_gather_invariant<1, within>(x); });
  is_reshard<M, P<Partial<within>>, P<>>([](auto x) { return psum<within>(x); });
  is_reshard<M, P<data, within>, P<data>>([](auto x) { return all_gather_invariant<1, within>(x); });
  is_reshard<M, P<None, model>, P<>>([](auto x) { return all_gather_invariant<1, model>(x); });
}

TEST_CASE("Megatron's pair of products: columns, then rows, and one all-reduce") {
  using M = Grid<2, 4>;
  using W1 = ShardedTensor<f32, Shape<16, 32>, M, P<None, model>, Host>;
  using W2 = ShardedTensor<f32, Shape<32, 8>, M, P<model>, Host>;
  using X = ShardedTensor<f32, Shape<6, 16>, M, P<data>, Host>;
  const auto relu = [](f32 v) { return v > 0 ? v : 0.0f; };
  Host dev(1);
  const auto xs = random(1, 6 * 16), ups = random(2, 16 * 32), downs = random(3, 32 * 8);
  const auto tokens = tensor<X>(dev, Extents<X::shape>{}, xs);
  const auto w1 = tensor<W1>(dev, Extents<W1::shape>{}, ups);
  const auto w2 = tensor<W2>(dev, Extents<W2::shape>{}, downs);
  // [quote:mlp]
  const auto mlp = [relu](auto x, auto up, auto down) { return psum<model>(matmul(map(relu, matmul(x, up)), down)); };
  const auto y = shard_map<In<P<data>, P<None, model>, P<model>>, Out<P<data>>>(dev, mlp, tokens, w1, w2);
  // [/quote]

  auto hidden = product(widened(xs), ups, 16, 32);
  for (f64& v : hidden) v = v > 0 ? v : 0;
  CHECK(error(elements(y), product(hidden, downs, 32, 8)) < 1e-6);

  // One all-reduce of 3 x 8 numbers over 4 devices; the products' work is a share of the whole.
  constexpr Cost bill = [] {
    Dry dry;
    const auto body = [](auto a, auto b, auto c) { return psum<model>(matmul(matmul(a, b), c)); };
    (void)shard_map<In<P<data>, P<None, model>, P<model>>, Out<P<data>>>(
        dry, body, ShardedTensor<f32, Shape<6, 16>, M, P<data>>{},
        ShardedTensor<f32, Shape<16, 32>, M, P<None, model>>{}, ShardedTensor<f32, Shape<32, 8>, M, P<model>>{});
    return dry.cost;
  }();
  static_assert(bill.collectives == 1 && bill.bytes == 2 * 3 * 3 * 8 * 4 / 4);
  static_assert(bill.flops == 2 * (3 * 16 * 8 + 3 * 8 * 8));
  check_traffic(dev, bill);
}

TEST_CASE("pmean, pmax and pmin; of blocks that are equal already they are free") {
  using M = Grid<2, 2>;
  using X = ShardedTensor<f32, Shape<4>, M, P<data>, Host>;
  Host dev(1);
  const auto x = tensor<X>(dev, Extents<Shape<4>>{}, std::vector<f32>{1, 5, 7, 3});  // blocks {1, 5} and {7, 3}
  const auto run = [&](auto body) { return elements(shard_map<In<P<data>>, Out<P<>>>(dev, body, x)); };
  CHECK(run([](auto b) { return pmean<data>(b); }) == std::vector<f32>{4, 4});
  CHECK(run([](auto b) { return pmax<data>(b); }) == std::vector<f32>{7, 5});
  CHECK(run([](auto b) { return pmin<data>(b); }) == std::vector<f32>{1, 3});
  const auto reduced = dev.traffic().collectives;
  CHECK(reduced == 3);
  CHECK(run([](auto b) { return pmean<data, model>(b); }) == std::vector<f32>{4, 4});  // equal along model
  CHECK(run([](auto b) { return pmax<model>(pmax<data>(b)); }) == std::vector<f32>{7, 5});
  CHECK(dev.traffic().collectives == reduced + 2);
}

TEST_CASE("a ring of ppermutes turns blocks round, and n turns are the identity") {
  using M = Grid<2, 3>;
  Host dev(1);
  const auto x = some<M, P<None, model>>(dev);
  const auto values = elements(x);
  const auto turn = [](auto b) { return ppermute<model, Send<0, 1>, Send<1, 2>, Send<2, 0>>(b); };
  const auto once = elements(shard_map<In<P<None, model>>, Out<P<None, model>>>(dev, turn, x));
  bool moved = true;
  for (index_t r = 0; r < rows; ++r)
    for (index_t c = 0; c < columns; ++c)
      moved = moved && once[static_cast<std::size_t>(r * columns + (c + 16) % columns)] ==
                           values[static_cast<std::size_t>(r * columns + c)];
  CHECK(moved);
  CHECK(dev.traffic().collectives == 1);
  for (const index_t bytes : dev.traffic().bytes) CHECK(bytes == rows * 16 * 4);
  dev.reset_traffic();

  const auto thrice = [turn](auto b) { return turn(turn(turn(b))); };
  CHECK(elements(shard_map<In<P<None, model>>, Out<P<None, model>>>(dev, thrice, x)) == values);
}

TEST_CASE("who receives nothing has zeros, and pays nothing") {
  using M = Grid<2, 2>;
  Host dev(1);
  const auto x = some<M, P<data>>(dev);
  const auto y = elements(shard_map<In<P<data>>, Out<P<data>>>(
      dev, [](auto b) { return ppermute<data, Send<0, 1>>(b); }, x));
  const auto values = elements(x);
  const auto half = static_cast<std::ptrdiff_t>(values.size() / 2);
  CHECK(std::all_of(y.begin(), y.begin() + half, [](f32 v) { return v == 0; }));
  CHECK(std::equal(y.begin() + half, y.end(), values.begin()));
  CHECK(dev.traffic().bytes == std::vector<index_t>{0, 0, rows / 2 * columns * 4, rows / 2 * columns * 4});
}

TEST_CASE("pbroadcast: one block for all, equal by its type") {
  using M = Grid<2, 3>;
  Host dev(1);
  const auto x = some<M, P<None, model>>(dev);
  const auto y = shard_map<In<P<None, model>>, Out<P<>>>(
      dev, [](auto b) { return pbroadcast<model, 1>(b); }, x);
  static_assert(std::is_same_v<decltype(y)::shape, Shape<rows, columns / 3>>);
  const auto all = elements(x), part = elements(y);
  bool same = true;
  for (index_t r = 0; r < rows; ++r)
    for (index_t c = 0; c < 16; ++c)
      same = same && part[static_cast<std::size_t>(r * 16 + c)] == all[static_cast<std::size_t>(r * columns + 16 + c)];
  CHECK(same);
  CHECK(dev.traffic().most_bytes() == rows * 16 * 4);
}

TEST_CASE("devices are numbered along axes, the first major; hosts come before the devices in them") {
  Host dev(1);
  const auto numbers = [&]<class M>(std::type_identity<M>, auto body) {
    const auto x = tensor<ShardedTensor<i32, Shape<1>, M, P<>, Host>>(dev, Extents<Shape<1>>{}, std::vector<i32>{0});
    return elements(shard_map<In<P<>>, Out<P<Axes<data, model>>>>(dev, body, x));
  };
  const auto both = [](auto x) { return x + axis_index<data, model>(x); };
  const auto turned = [](auto x) { return x + axis_index<model, data>(x); };
  CHECK(numbers(std::type_identity<Grid<2, 3>>{}, both) == std::vector<i32>{0, 1, 2, 3, 4, 5});
  CHECK(numbers(std::type_identity<Grid<2, 3>>{}, turned) == std::vector<i32>{0, 2, 4, 1, 3, 5});
  using Hosts = Mesh<HybridAxis<data, 2, 1>, HybridAxis<model, 2, 2>>;
  CHECK(numbers(std::type_identity<Hosts>{}, [](auto x) { return x + axis_index<model>(x); }) ==
        std::vector<i32>{0, 1, 2, 3, 0, 1, 2, 3});
}

TEST_CASE("element types: integers meet floats as floats, bf16 stays bf16, a comparison is a truth value") {
  using M = Grid<2, 2>;
  Host dev(1);
  const auto x =
      tensor<ShardedTensor<bf16, Shape<4>, M, P<data>, Host>>(dev, Extents<Shape<4>>{}, std::vector<f32>{1, 2, 3, 4});
  const auto doubled = shard_map<In<P<data>>, Out<P<data>>>(
      dev, [](auto b) { return b + b; }, x);
  static_assert(std::is_same_v<decltype(doubled)::value_type, bf16>);
  CHECK(f32(elements(doubled)[3]) == 8);
  const auto n = tensor<ShardedTensor<i32, Shape<4>, M, P<data>, Host>>(dev, Extents<Shape<4>>{},
                                                                        std::vector<i32>{1, 2, 3, 1 << 30});
  const auto next = shard_map<In<P<data>>, Out<P<data>>>(
      dev, [](auto b) { return 2 * b - 1; }, n);
  static_assert(std::is_same_v<decltype(next)::value_type, i32>);
  CHECK(elements(next)[3] == 2147483647);  // exact: no detour over f32
  const auto large = shard_map<In<P<data>>, Out<P<data>>>(
      dev, [](auto b) { return where(b > 2, b, 0); }, n);
  CHECK(elements(large) == std::vector<i32>{0, 0, 3, 1 << 30});
  const auto half = shard_map<In<P<data>>, Out<P<data>>>(
      dev, [](auto b) { return 1.5 - b * 0.5; }, n);
  static_assert(std::is_same_v<decltype(half)::value_type, f32>);
  CHECK(elements(half)[1] == 0.5f);
}

TEST_CASE("locally: any operation of the library, on blocks; softmax of rows that are whole to every device") {
  using M = Grid<2, 2>;
  Host dev(1);
  const auto x = some<M, P<data>>(dev);
  const auto body = [](auto b) { return locally([](auto& one, const auto& t) { return softmax(one, t); }, b); };
  const auto y = elements(shard_map<In<P<data>>, Out<P<data>>>(dev, body, x));
  CHECK(y == elements(softmax(dev, x)));
  CHECK(dev.traffic().collectives == 0);
}

TEST_CASE("several results, each with its spec") {
  using M = Grid<2, 2>;
  Host dev(1);
  const auto x = some<M, P<data>>(dev);
  const auto body = [](auto b) { return carry(psum<data>(sum(b)), b * 2, max<0>(b)); };
  const auto [total, doubled, largest] = shard_map<In<P<data>>, Out<P<>, P<data>, P<data>>>(dev, body, x);
  const auto values = elements(x);
  f64 wanted = 0;
  for (const f32 v : values) wanted += static_cast<f64>(v);
  CHECK(static_cast<f64>(elements(total)[0]) == doctest::Approx(wanted));
  CHECK(elements(doubled)[5] == 2 * values[5]);
  static_assert(std::is_same_v<typename std::remove_cvref_t<decltype(largest)>::shape, Shape<2 * columns>>);
}

TEST_CASE("extents that are known at run time: what does not divide, or does not meet, is an Error with both numbers") {
  using M = Grid<2, 2>;
  using D = Shape<dyn, 8>;
  Host dev(1);
  const auto x = tensor<ShardedTensor<f32, D, M, P<data>, Host>>(dev, Extents<D>(12), random(1, 96));
  const auto gathered = shard_map<In<P<data>>, Out<P<>>>(
      dev, [](auto b) { return all_gather_invariant<0, data>(b); }, x);
  CHECK(gathered.extent(0) == 12);
  CHECK(elements(gathered) == elements(x));
  const auto six = tensor<ShardedTensor<f32, D, M, P<data>, Host>>(dev, Extents<D>(6), random(1, 48));
  CHECK_THROWS_WITH_AS((shard_map<In<P<data>>, Out<P<data>>>(
                           dev, [](auto b) { return psum_scatter<0, data>(b); }, six)),
                       doctest::Contains("extent 3"), Error);
  CHECK_THROWS_WITH_AS((shard_map<In<P<data>, P<data>>, Out<P<data>>>(
                           dev, [](auto a, auto b) { return a + b; }, x, six)),
                       doctest::Contains("extents 6 and 3"), Error);
}
