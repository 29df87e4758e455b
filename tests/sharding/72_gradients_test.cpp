// The book of sharding, gradients: why the table of forward and backward is right, and what both directions cost.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <vector>

#include <tess/comm/both_ways.hpp>
#include <tess/core/type_name.hpp>

#include "support/tensors.hpp"

using namespace tess::spmd;
using support::f64;
using support::index_t;

namespace {

constexpr index_t n = 4;      // devices along the axis
constexpr index_t whole = 8;  // elements of a block

/// The block of each device, as the letters say: R and I equal on all, V parts of a longer value, P addends.
using Blocks = std::vector<std::vector<f64>>;

template <class T>
Blocks some(index_t seed, index_t size = whole) {
  Blocks b;
  for (index_t d = 0; d < n; ++d) {
    std::vector<f64> block;
    for (index_t i = 0; i < size; ++i)
      block.push_back(support::noise(seed, (std::is_same_v<T, R> || std::is_same_v<T, I> ? 0 : d * size) + i));
    b.push_back(block);
  }
  return b;
}

// What each transition does to blocks.
template <class T>
struct apply;
template <class A, class B>
struct apply<Reinterpret<A, B>> {
  static Blocks to(const Blocks& x) { return x; }
};
template <class A, class B>
struct apply<Convert<A, B>> {
  static Blocks to(const Blocks& x) {
    Blocks y = x;
    for (index_t d = 0; d < n; ++d) {
      auto& block = y[static_cast<std::size_t>(d)];
      if constexpr (std::is_same_v<B, V>) {  // the own part
        const index_t part = static_cast<index_t>(block.size()) / n;
        block.erase(block.begin(), block.begin() + d * part);
        block.resize(static_cast<std::size_t>(part));
      } else if constexpr (std::is_same_v<A, V>) {  // the own part among zeros
        const index_t part = static_cast<index_t>(block.size());
        block.insert(block.begin(), static_cast<std::size_t>(d * part), 0.0);
        block.resize(static_cast<std::size_t>(n * part), 0.0);
      } else if constexpr (std::is_same_v<B, P>) {  // the first device keeps it
        if (d > 0) block.assign(block.size(), 0.0);
      }
    }
    return y;
  }
};
std::vector<f64> total(const Blocks& x) {
  std::vector<f64> sum(x[0].size(), 0.0);
  for (const auto& block : x)
    for (std::size_t i = 0; i < block.size(); ++i) sum[i] += block[i];
  return sum;
}
template <class B>
struct apply<AllReduce<B>> {
  static Blocks to(const Blocks& x) { return Blocks(static_cast<std::size_t>(n), total(x)); }
};
template <>
struct apply<ReduceScatter> {
  static Blocks to(const Blocks& x) { return apply<Convert<R, V>>::to(apply<AllReduce<R>>::to(x)); }
};
template <class B>
struct apply<AllGather<B>> {
  static Blocks to(const Blocks& x) { return apply<AllReduce<R>>::to(apply<Convert<V, P>>::to(x)); }
};
/// Blocks as an n x n matrix of pieces, transposed.
template <>
struct apply<AllToAll> {
  static Blocks to(const Blocks& x) {
    Blocks y = x;
    const std::size_t piece = x[0].size() / static_cast<std::size_t>(n);
    for (std::size_t d = 0; d < x.size(); ++d)
      for (std::size_t e = 0; e < x.size(); ++e)
        for (std::size_t i = 0; i < piece; ++i) y[d][e * piece + i] = x[e][d * piece + i];
    return y;
  }
};
template <class... T>
struct apply<Then<T...>> {
  static Blocks to(Blocks x) {
    ((x = apply<T>::to(x)), ...);
    return x;
  }
};

/// How much the value x, of local type T, changes a loss whose gradient is g, of type dual<T>: for R, V and P every device
/// counts its own part of it; what is invariant is one value and counts once.
template <class T>
f64 pairing(const Blocks& x, const Blocks& g) {
  f64 sum = 0;
  for (std::size_t d = 0; d < (std::is_same_v<T, I> ? 1 : x.size()); ++d)
    for (std::size_t i = 0; i < x[d].size(); ++i) sum += x[d][i] * g[d][i];
  return sum;
}

/// <T x, g> = <x, backward_of<T> g> for all x and g: backward_of<T> is the transpose of T.
template <class T>
void is_transposed() {
  CAPTURE(tess::type_name<T>());
  using A = from_type<T>;
  using B = to_type<T>;
  for (index_t seed = 1; seed <= 5; ++seed) {
    const Blocks x = some<A>(seed);
    const Blocks y = apply<T>::to(x);
    const Blocks g = some<dual<B>>(100 + seed, static_cast<index_t>(y[0].size()));
    const Blocks back = apply<backward_of<T>>::to(g);
    REQUIRE(back[0].size() == x[0].size());
    CHECK(pairing<B>(y, g) == doctest::Approx(pairing<A>(x, back)).epsilon(1e-12));
  }
}
template <class... T>
void are_transposed() {
  (is_transposed<T>(), ...);
}

}  // namespace

TEST_CASE("the backward transition is the transpose of the forward one, for every entry of the table") {
  are_transposed<Convert<R, I>, Reinterpret<R, V>, Convert<R, V>, Reinterpret<R, P>, Convert<R, P>>();
  are_transposed<Convert<I, R>, Convert<I, V>, Convert<I, P>, Reinterpret<I, V>>();
  are_transposed<AllGather<R>, AllGather<I>, AllToAll, Reinterpret<V, P>, Convert<V, P>>();
  are_transposed<AllReduce<R>, AllReduce<I>, ReduceScatter>();
}

TEST_CASE("and so it is for the collectives of shard_map, which are chains of these") {
  are_transposed<psum, pvary, all_gather, psum_scatter, own_part, all_gather_invariant, all_gather_reduced>();
}

TEST_CASE("a wrong backward is no transpose: the gradient of psum is not psum") {
  const Blocks x = some<V>(1), g = some<I>(2);
  const f64 forward = pairing<I>(apply<psum>::to(x), g);
  CHECK(forward == doctest::Approx(pairing<V>(x, apply<backward_of<psum>>::to(g))).epsilon(1e-12));
  // What a framework without these types does: it sums the equal gradients, and is n times too large.
  const f64 summed = pairing<V>(x, apply<AllReduce<R>>::to(g));
  CHECK(summed == doctest::Approx(static_cast<f64>(n) * forward).epsilon(1e-12));
}

TEST_CASE("weights marked Reduced keep their gradients pending: one all-reduce a step instead of one a layer") {
  constexpr index_t layers = 64, gradient = 1 << 20;
  const auto backward = [](BothWays b) { return b.backward; };
  // Every layer uses weights that are I: pvary in each, and each gradient is summed over the devices.
  const index_t unmarked = layers * backward(both_ways<pvary>(gradient, n));
  // Marked once, I -> R; a layer's use of them, R -> V, is free in both directions.
  const index_t marked =
      backward(both_ways<preduced>(gradient, n)) + layers * backward(both_ways<reduced_vary>(gradient, n));
  CHECK(unmarked == layers * marked);
  CHECK(marked == 2 * (n - 1) * gradient / n);
}
