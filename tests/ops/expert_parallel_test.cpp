// Experts over mesh axes: the numbers of whole experts, and bytes that are counted anew from the routes.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>

#include <tess/ops/expert_parallel.hpp>

#include "support/expert_travels.hpp"

using namespace support;

namespace {

struct data;
struct expert;
struct model;
template <index_t D, index_t E, index_t N>
using Grid = Mesh<Axis<data, D>, Axis<expert, E>, Axis<model, N>>;
using One = Mesh<>;

constexpr index_t E = 8, width = 16, out = 32;
using TokensShape = Shape<dyn, dyn, width>;
template <class M, class Spec, class D = Host>
using Tokens = ShardedTensor<f32, TokensShape, M, Spec, D>;
template <class M, class Spec, class D = Host>
using Ids = ShardedTensor<i32, Shape<dyn, dyn, dyn>, M, Spec, D>;
template <class M, class Spec, class D = Host>
using Weights = ShardedTensor<packed<f32>, Shape<E, width, out>, M, Spec, D>;

template <class M, class Spec, class D>
auto routes(D& dev, const Chosen& c) {
  using I = Ids<M, Spec, D>;
  const Extents<typename I::shape> extents(c.B, c.T, c.k);
  if constexpr (std::is_same_v<D, Host>)
    return Routes<I, with_type<I, f32>>{tensor<I>(dev, extents, c.experts),
                                        tensor<with_type<I, f32>>(dev, extents, c.weights)};
  else return Routes<I, with_type<I, f32>>{make<I>(dev, extents), make<with_type<I, f32>>(dev, extents)};
}

/// The weighted sum of x·w over a token's experts: sent there and back.
template <class A, class D, class X, class R, class W>
auto sent_and_returned(D& dev, const X& x, const R& r, const W& w) {
  const auto sent = send_tokens<A>(dev, x, r, E);
  return return_tokens(dev, combine(dev, matmul(dev, dispatch(dev, sent), w), sent));
}

/// The same with every expert on one device.
std::vector<f32> whole(const Chosen& c) {
  Host dev(1);
  Weights<One, P<>> w;
  load(dev, w, {E, width, out}, random(2, E * width * out));
  const auto x = tensor<Tokens<One, P<>>>(dev, Extents<TokensShape>(c.B, c.T), random(1, c.tokens() * width));
  const auto r = routes<One, P<>>(dev, c);
  return elements(combine(dev, matmul(dev, dispatch(dev, x, r, E), w), r));
}

template <index_t D, index_t G, index_t N>
Cost check(const Chosen& c) {
  using M = Grid<D, G, N>;
  using Batch = P<Axes<data, expert>>;
  using InSpec = P<expert, None, model>;
  CAPTURE(D);
  CAPTURE(G);
  CAPTURE(N);
  CAPTURE(c.k);
  Host dev(2);
  Weights<M, InSpec> w;
  load(dev, w, {E, width, out}, random(2, E * width * out));
  const auto x = tensor<Tokens<M, Batch>>(dev, Extents<TokensShape>(c.B, c.T), random(1, c.tokens() * width));
  const auto y = sent_and_returned<expert>(dev, x, routes<M, Batch>(dev, c), w);
  static_assert(std::is_same_v<typename decltype(y)::spec, P<Axes<data, expert>, None, model>>);
  CHECK(error(elements(y), whole(c)) < 1e-6);

  Dry dry;
  sent_and_returned<expert>(dry, make<Tokens<M, Batch, Dry>>(dry, Extents<TokensShape>(c.B, c.T)),
                            routes<M, Batch>(dry, c), Weights<M, InSpec, Dry>{});
  const Counted counted = count(c, E, D, G, width, out / N);
  CHECK(dev.traffic().collectives == dry.cost.collectives);
  CHECK(dev.traffic().busiest_bytes == counted.going + counted.coming);
  CHECK(dev.traffic().busiest_bytes <= dry.cost.bytes);
  return dry.cost;
}

}  // namespace

TEST_CASE(
    "tokens that travel to their experts and back have the numbers of whole experts, for the bytes of their routes") {
  on_meshes([]<index_t D, index_t G, index_t N>() {
    check<D, G, N>(random_choices(E, 1, 8, 3, 2));
    check<D, G, N>(random_choices(E, 2, 8, 1, 3));           // a token of each of eight sequences
    check<D, G, N>(random_choices(E, 3, 8, 3, 2, 3));        // five experts of nobody
    check<D, G, N>(random_choices(E, 4, 8, 3, 1, 1));        // all to one
    check<D, G, N>(random_choices(E, 5, 8, 3, E));           // every token to all
    check<D, G, N>(random_choices(E, 6, 8, 3, 3, E, true));  // dropped choices, and tokens
    check<D, G, N>({8, 1, 2, std::vector<i32>(16, no_expert)});
  });
}

TEST_CASE("random routes and sizes") {
  for (index_t seed = 0; seed < 40; ++seed) {
    const index_t k = 1 + seed % E, T = 1 + seed * 7 % 5, experts = k + seed * 3 % (E - k + 1);
    const Chosen c = random_choices(E, 100 * seed, 8, T, k, experts, seed % 3 == 0);
    check<1, 4, 1>(c);
    check<2, 2, 2>(c);
  }
}

TEST_CASE(
    "the bill is what the busiest device receives when all choose its expert, and each of its tokens all others") {
  constexpr index_t G = 4, n = 6, k = 2;  // tokens of a device
  std::vector<i32> ids;
  for (index_t token = 0; token < G * n; ++token) {
    const bool first = token < n;  // those of device 0 choose experts of devices 1 and 2, all others that of 0
    ids.push_back(first ? 2 : 0);
    ids.push_back(first ? 5 : 1 + static_cast<i32>(token % 2) * 6);
  }
  const Cost bill = check<1, G, 1>({G, n, k, ids});
  const Counted most = count({G, n, k, ids}, E, 1, G, width, out);
  CHECK(most.going == (G - 1) * (4 + n * (4 * width + 8 * k)));
  CHECK(most.coming == k * n * 4 * out);
  CHECK(bill.bytes == most.going + most.coming);
}

TEST_CASE(
    "tokens that every device has stay: it takes its experts' rows, and the sum is pending over the experts' axis") {
  on_meshes([]<index_t D, index_t G, index_t N>() {
    using M = Grid<D, G, N>;
    for (const Chosen& c :
         {random_choices(E, 1, 4, 3, 3), random_choices(E, 2, 4, 1, 1, 1), random_choices(E, 3, 4, 3, 2, E, true)}) {
      Host dev(2);
      Weights<M, P<expert, None, model>> w;
      load(dev, w, {E, width, out}, random(2, E * width * out));
      const auto x = tensor<Tokens<M, P<data>>>(dev, Extents<TokensShape>(c.B, c.T), random(1, c.tokens() * width));
      const auto r = routes<M, P<data>>(dev, c);
      const auto y = combine(dev, matmul(dev, dispatch<expert>(dev, x, r, E), w), r);
      static_assert(std::is_same_v<typename decltype(y)::spec, P<data, None, model, Partial<expert>>>);
      CHECK(dev.traffic().collectives == 0);
      CHECK(error(elements(y), whole(c)) < 1e-6);
    }
  });
}

TEST_CASE("an axis in parts or between hosts, two axes at once, and one of two that shards the tokens") {
  const Chosen c = random_choices(E, 1, 8, 3, 3);
  const auto sharded = [&]<class M, class Experts, class Batch, class Out>(
                           std::type_identity<M>, std::type_identity<Experts>, std::type_identity<Batch>,
                           std::type_identity<Out>) {
    Host dev(2);
    Weights<M, P<Experts>> w;
    load(dev, w, {E, width, out}, random(2, E * width * out));
    const auto x = tensor<Tokens<M, P<Batch>>>(dev, Extents<TokensShape>(c.B, c.T), random(1, c.tokens() * width));
    const auto y = sent_and_returned<Experts>(dev, x, routes<M, P<Batch>>(dev, c), w);
    static_assert(std::is_same_v<typename decltype(y)::spec, Out>);
    CHECK(error(elements(y), whole(c)) < 1e-6);
    Dry dry;
    sent_and_returned<Experts>(dry, make<Tokens<M, P<Batch>, Dry>>(dry, Extents<TokensShape>(c.B, c.T)),
                               routes<M, P<Batch>>(dry, c), Weights<M, P<Experts>, Dry>{});
    CHECK(dev.traffic().collectives == dry.cost.collectives);
    CHECK(dev.traffic().busiest_bytes <= dry.cost.bytes);
    return std::pair{dev.traffic().busiest_bytes, dry.cost};
  };
  using std::type_identity;
  using B3 = Axes<data, expert>;

  using Hosts = Mesh<Axis<data, 2>, HybridAxis<expert, 2, 2>>;
  const auto [hosts, hosts_bill] =
      sharded(type_identity<Hosts>{}, type_identity<expert>{}, type_identity<B3>{}, type_identity<P<B3, None, None>>{});
  CHECK(hosts_bill.bytes_between_hosts() == hosts_bill.bytes);
  const Counted counted = count(c, E, 2, 4, width, out);
  CHECK(hosts == counted.going + counted.coming);

  using Plain = Grid<2, 2, 2>;  // experts over data and expert, both of the batch
  const auto [both, both_bill] =
      sharded(type_identity<Plain>{}, type_identity<B3>{}, type_identity<B3>{}, type_identity<P<B3, None, None>>{});
  const Counted over_both = count(c, E, 1, 4, width, out);
  CHECK(both == over_both.going + over_both.coming);
  CHECK(both_bill.transfers[0].devices == 4);
  CHECK(both_bill.transfers[0].kind == Collective::all_to_all);

  // The other way about: the batch counts devices otherwise than the experts do.
  sharded(type_identity<Plain>{}, type_identity<Axes<expert, data>>{}, type_identity<B3>{},
          type_identity<P<B3, None, None>>{});
  // Over expert the tokens travel, over model every device has them.
  sharded(type_identity<Plain>{}, type_identity<Axes<model, expert>>{}, type_identity<B3>{},
          type_identity<P<B3, None, None, Partial<model>>>{});
  sharded(type_identity<Plain>{}, type_identity<Axes<expert, model>>{}, type_identity<expert>{},
          type_identity<P<expert, None, None, Partial<model>>>{});
}

TEST_CASE("each row of a batch is what it is beside any others, bit by bit") {
  using M = Grid<1, 4, 1>;
  Host dev(2);
  Weights<M, P<expert>> w;
  load(dev, w, {E, width, out}, random(2, E * width * out));
  const Chosen c = random_choices(E, 1, 8, 1, 4);
  const auto run = [&](const Chosen& chosen, const std::vector<f32>& x) {
    return elements(sent_and_returned<expert>(dev, tensor<Tokens<M, P<expert>>>(dev, Extents<TokensShape>(8, 1), x),
                                              routes<M, P<expert>>(dev, chosen), w));
  };
  const std::vector<f32> x = random(1, 8 * width), all = run(c, x);
  for (index_t alone = 0; alone < 8; ++alone) {
    Chosen others = c;
    std::vector<f32> beside = random(50 + alone, 8 * width);
    std::copy_n(x.begin() + alone * width, width, beside.begin() + alone * width);
    for (index_t i = 0; i < 8 * c.k; ++i)
      if (i / c.k != alone) others.experts[static_cast<std::size_t>(i)] = no_expert;
    const std::vector<f32> found = run(others, beside);
    CHECK(std::equal(found.begin() + alone * out, found.begin() + (alone + 1) * out, all.begin() + alone * out));
  }
}

TEST_CASE("biases and functions act on the rows that are there") {
  using M = Grid<1, 4, 1>;
  using Batch = P<expert>;
  Host dev(2);
  const Chosen c = random_choices(E, 3, 4, 3, 2);
  const auto x = random(1, c.tokens() * width);
  const auto bias_values = random(9, E * width);
  const auto bias = tensor<ShardedTensor<f32, Shape<E, width>, M, P<expert>, Host>>(dev, {}, bias_values);
  const auto sent = send_tokens<expert>(dev, tensor<Tokens<M, Batch>>(dev, Extents<TokensShape>(c.B, c.T), x),
                                        routes<M, Batch>(dev, c), E);
  const auto rows = map<f32>(
      dev, [](f32 v) { return 2 * v; }, add_bias(dev, dispatch(dev, sent), bias));
  const auto truth = weighted_sum(x, width, c.experts, c.weights, c.k, [&](std::vector<f64> token, index_t e) {
    for (index_t i = 0; i < width; ++i)
      token[static_cast<std::size_t>(i)] = 2 * (token[static_cast<std::size_t>(i)] +
                                                static_cast<f64>(bias_values[static_cast<std::size_t>(e * width + i)]));
    return token;
  });
  CHECK(error(elements(return_tokens(dev, combine(dev, rows, sent))), truth) < 1e-6);
}

TEST_CASE("what does not fit is an error") {
  using M = Grid<1, 4, 1>;
  Host dev(2);
  const auto x = tensor<Tokens<M, P<expert>>>(dev, Extents<TokensShape>(4, 1), random(1, 4 * width));
  const auto send = [&](std::vector<i32> ids, index_t experts) {
    const index_t k = static_cast<index_t>(ids.size()) / 4;
    return dispatch(dev,
                    send_tokens<expert>(dev, x, routes<M, P<expert>>(dev, Chosen{4, 1, k, std::move(ids)}), experts));
  };
  CHECK_THROWS_WITH_AS(send({0, 1, 8, 2}, E),
                       "[dispatch] a token is routed to expert 8, but 8 are declared (MoELayer's expert_count)", Error);
  CHECK_THROWS_AS(send({0, 1, -2, 2}, E), Error);
  CHECK_THROWS_WITH_AS(send({0, 1, 2, 3}, 6), "[dispatch] 6 experts do not divide over 4 devices", Error);
  CHECK_THROWS_WITH_AS(send(std::vector<i32>(12, 0), E),
                       "[dispatch] a token names one expert several times: 8 rows at most", Error);
  CHECK_NOTHROW(send({0, 1, 2, 7}, E));

  Weights<M, P<expert>> w;
  load(dev, w, {E, width, out}, random(2, E * width * out));
  CHECK_THROWS_WITH_AS(matmul(dev, send({0, 1, 2, 3}, 4), w),
                       "[matmul] rows are grouped for 1 experts, and there are weights of 2 (MoELayer's expert_count)",
                       Error);
  CHECK_THROWS_AS(matmul(dev, send({0, 1, 2, 3}, 2 * E), w), Error);
  const auto bias = tensor<ShardedTensor<f32, Shape<E, width>, M, P<expert>, Host>>(dev, {}, random(9, E * width));
  CHECK_THROWS_WITH_AS(add_bias(dev, send({0, 1, 2, 3}, 4), bias),
                       "[add_bias] rows are grouped for 1 experts, and there are biases of 2 (MoELayer's expert_count)",
                       Error);
}
