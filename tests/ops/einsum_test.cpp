// einsum and dot_general on sharded operands give what they give on one device, and Dry bills what Host multiplies.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/device/trace.hpp>
#include <tess/ops/einsum.hpp>

#include "support/tensors.hpp"

using namespace support;

namespace {

struct a;
struct b;
template <index_t A, index_t B>
using Grid = Mesh<Axis<a, A>, Axis<b, B>>;
using M22 = Grid<2, 2>;

template <char... C>
using L = Labels<C...>;

/// The sum over all labels that `out` lacks, by the definition: one loop over all tuples of labels.
template <class Lhs, class Rhs, class Out>
std::vector<f64> truth(const std::vector<index_t>& lhs, const std::vector<f32>& x, const std::vector<index_t>& rhs,
                       const std::vector<f32>& w) {
  std::vector<char> labels;
  std::vector<index_t> sizes;
  const auto add = [&](const rules::DimLabels& l, const std::vector<index_t>& extents) {
    for (int d = 0; d < l.rank; ++d)
      if (std::find(labels.begin(), labels.end(), l[d]) == labels.end())
        labels.push_back(l[d]), sizes.push_back(extents[static_cast<std::size_t>(d)]);
  };
  add(Lhs::value, lhs), add(Rhs::value, rhs);
  index_t all = 1, results = 1;
  for (const index_t n : sizes) all *= n;
  const auto size_of = [&](char c) {
    return sizes[static_cast<std::size_t>(std::find(labels.begin(), labels.end(), c) - labels.begin())];
  };
  for (int o = 0; o < Out::value.rank; ++o) results *= size_of(Out::value[o]);
  std::vector<f64> y(static_cast<std::size_t>(results));
  for (index_t i = 0; i < all; ++i) {
    std::map<char, index_t> at;
    index_t rest = i;
    for (std::size_t k = labels.size(); k-- > 0; rest /= sizes[k]) at[labels[k]] = rest % sizes[k];
    const auto offset = [&](const rules::DimLabels& l) {
      index_t o = 0;
      for (int d = 0; d < l.rank; ++d) o = o * size_of(l[d]) + at[l[d]];
      return static_cast<std::size_t>(o);
    };
    y[offset(Out::value)] += static_cast<f64>(x[offset(Lhs::value)]) * static_cast<f64>(w[offset(Rhs::value)]);
  }
  return y;
}

template <class S>
std::vector<index_t> extents_of() {
  return {S::extents.begin(), S::extents.end()};
}
index_t size_of(const std::vector<index_t>& extents) {
  index_t n = 1;
  for (const index_t e : extents) n *= e;
  return n;
}

/// One equation on shapes SX and SW. `check` runs it for one pair of specs, if the rule accepts it, against the truth; of a
/// pending operand every addend counts.
template <class Lhs, class Rhs, class Out, class SX, class SW>
struct Case {
  std::vector<f32> x = random(1, size_of(extents_of<SX>())), w = random(2, size_of(extents_of<SW>()));
  std::vector<f64> expected = truth<Lhs, Rhs, Out>(extents_of<SX>(), x, extents_of<SW>(), w);
  int accepted = 0, refused = 0;

  template <class M, class PX, class PW>
  void check(Host& dev) {
    using X = ShardedTensor<f32, SX, M, PX, Host>;
    using W = ShardedTensor<f32, SW, M, PW, Host>;
    if constexpr (std::is_same_v<tess::detail::product_fact<tess::detail::Equation<Lhs, Rhs, Out>, X, W>,
                                 nothing_wrong>) {
      const auto y = einsum<Lhs, Rhs, Out>(dev, tensor<X>(dev, {}, x), tensor<W>(dev, {}, w));
      const f64 addends = sum_of_addends<X>() * sum_of_addends<W>();
      auto scaled = expected;
      for (f64& v : scaled) v *= addends;
      CHECK(error(elements(y), scaled) < 1e-5);
      ++accepted;
    } else {
      ++refused;
    }
  }
  template <class M, class PX, class... PW>
  void with(Host& dev) {
    (check<M, PX, PW>(dev), ...);
  }
  /// Of addends 1, 2, ..., n: tensor() gives addend p the values times p.
  template <class X>
  static f64 sum_of_addends() {
    index_t n = 1;
    for (int i = 0; i < X::mesh::rank; ++i)
      if (X::sharding.partial >> i & 1u) n *= X::mesh::axis_size(i);
    return static_cast<f64>(n * (n + 1) / 2);
  }
};

template <class M, class C>
void matrices(Host& dev, C& c) {
  using PB = P<Axes<a, b>>;
  using PK = P<None, Axes<a, b>>;
  c.template with<M, P<>, P<>, P<a>, P<None, b>, P<b, a>, P<Partial<a>>>(dev);
  c.template with<M, P<a>, P<>, P<None, b>, P<b>, P<a>, P<Partial<b>>>(dev);
  c.template with<M, P<None, b>, P<>, P<b>, P<None, a>, P<Axes<b, a>>, P<a>>(dev);
  c.template with<M, P<a, b>, P<>, P<b>, P<None, a>>(dev);
  c.template with<M, PB, P<>, P<a>>(dev);
  c.template with<M, PK, P<>, P<a>, P<Axes<a, b>>, P<Axes<b, a>>>(dev);
  c.template with<M, P<Partial<a>>, P<>, P<b>, P<None, b>, P<Reduced<a>>, P<Partial<b>>, P<a>>(dev);
}

}  // namespace

TEST_CASE("mk,kn->mn: every pair of specs that the rule accepts has the values of one device") {
  Host dev(1);
  Case<L<'m', 'k'>, L<'k', 'n'>, L<'m', 'n'>, Shape<12, 24>, Shape<24, 12>> c;
  matrices<M22>(dev, c);
  c.with<Grid<1, 4>, P<a, b>, P<>, P<b>, P<None, a>>(dev);  // an axis of size 1 may stand twice
  matrices<Grid<2, 3>>(dev, c);
  CHECK(c.accepted > 40);
  CHECK(c.refused > 10);
  CHECK(dev.traffic().collectives == 0);  // no byte moves
  CHECK(dev.traffic().most_bytes() == 0);
}

TEST_CASE("bthd,bThd->bhtT, attention's scores: batch dimensions may be sharded in one operand only") {
  Host dev(1);
  Case<L<'b', 't', 'h', 'd'>, L<'b', 'T', 'h', 'd'>, L<'b', 'h', 't', 'T'>, Shape<4, 3, 12, 12>, Shape<4, 6, 12, 12>> c;
  c.with<M22, P<a, None, b>, P<>, P<a>, P<a, None, b>, P<None, None, b>, P<None, b>>(dev);
  c.with<Grid<1, 4>, P<a, None, b>, P<>, P<a>, P<a, None, b>, P<None, None, b>>(dev);
  c.with<Grid<2, 3>, P<a, None, None, b>, P<>, P<None, None, None, b>, P<None, b>>(dev);
  CHECK(c.accepted == 10);
  CHECK(c.refused == 2);
}

TEST_CASE("other equations: outer product, dot product, transposed results, sums of one operand") {
  Host dev(1);
  {
    Case<L<'m'>, L<'n'>, L<'m', 'n'>, Shape<12>, Shape<6>> outer;
    outer.with<Grid<2, 3>, P<a>, P<>, P<b>, P<a>>(dev);
    CHECK(outer.accepted == 2);
  }
  {
    Case<L<'k'>, L<'k'>, L<>, Shape<12>, Shape<12>> dot;
    dot.with<Grid<2, 3>, P<a>, P<>, P<a>, P<Axes<a, b>>, P<b>>(dev);
    CHECK(dot.accepted == 3);
  }
  {
    Case<L<'b', 'm'>, L<'b', 'm', 'n'>, L<'m', 'n'>, Shape<4, 12>, Shape<4, 12, 6>> choice;
    choice.with<Grid<2, 3>, P<>, P<>, P<None, a, b>, P<a, b>>(dev);
    choice.with<Grid<2, 3>, P<None, a>, P<>, P<None, a>, P<None, b>>(dev);
    CHECK(choice.accepted == 5);
  }
  {
    Case<L<'i', 'k'>, L<'k', 'j'>, L<'j', 'i'>, Shape<6, 12>, Shape<12, 4>> transposed;
    transposed.with<Grid<2, 3>, P<b, a>, P<>, P<a>, P<None, a>>(dev);
    CHECK(transposed.accepted == 2);
  }
  {
    Case<L<'i', 's'>, L<'j'>, L<'i', 'j'>, Shape<6, 12>, Shape<4>> row_sums;  // 's' is the left operand's alone
    row_sums.with<Grid<2, 3>, P<b, a>, P<>, P<a>>(dev);
    CHECK(row_sums.accepted == 1);
  }
}

TEST_CASE("dot_general: batch, then free dimensions of the left operand, then those of the right one") {
  Host dev(1);
  using X = ShardedTensor<f32, Shape<4, 6, 8>, M22, P<a, None, b>, Host>;
  using W = ShardedTensor<f32, Shape<8, 4, 10>, M22, P<b, a>, Host>;
  const auto x = random(3, 4 * 6 * 8), w = random(4, 8 * 4 * 10);
  const auto y = dot_general<Contract<Dims<2>, Dims<0>>, Batch<Dims<0>, Dims<1>>>(dev, tensor<X>(dev, {}, x),
                                                                                  tensor<W>(dev, {}, w));
  static_assert(std::is_same_v<decltype(y)::shape, Shape<4, 6, 10>>);
  static_assert(std::is_same_v<decltype(y)::spec, P<a, None, None, Partial<b>>>);
  CHECK(error(elements(y), truth<L<'b', 'm', 'k'>, L<'k', 'b', 'n'>, L<'b', 'm', 'n'>>({4, 6, 8}, x, {8, 4, 10}, w)) <
        1e-6);
}

TEST_CASE("element types: bf16 is summed in f32, f64 and i32 in their own") {
  Host dev(1);
  using EX = L<'m', 'k'>;
  using EW = L<'k', 'n'>;
  using EY = L<'m', 'n'>;
  const auto product = [&](auto tx, auto tw) {
    using X = ShardedTensor<decltype(tx), Shape<4, 8>, M22, P<a, b>, Host>;
    using W = ShardedTensor<decltype(tw), Shape<8, 4>, M22, P<b>, Host>;
    std::vector<f32> x(32), w(32);
    for (std::size_t i = 0; i < 32; ++i) x[i] = static_cast<f32>(i % 7), w[i] = static_cast<f32>(i % 5);
    return std::pair(einsum<EX, EW, EY>(dev, tensor<X>(dev, {}, x), tensor<W>(dev, {}, w)),
                     truth<EX, EW, EY>({4, 8}, x, {8, 4}, w));
  };
  const auto check = [&](auto pair, auto y) {
    static_assert(std::is_same_v<typename decltype(pair.first)::value_type, decltype(y)>);
    CHECK(error(elements(pair.first), pair.second) == 0);
  };
  check(product(bf16{}, bf16{}), f32{});
  check(product(bf16{}, f32{}), f32{});
  check(product(f64{}, f32{}), f64{});
  check(product(i32{}, i32{}), i32{});

  using X = ShardedTensor<f32, Shape<2, 2>, M22, P<>, Host>;
  const std::vector<f32> x = {1, 2, 3, 4};
  const auto y = einsum<EX, EW, EY, bf16>(dev, tensor<X>(dev, {}, x), tensor<X>(dev, {}, x));
  static_assert(std::is_same_v<decltype(y)::value_type, bf16>);
  CHECK(f32(elements(y)[3]) == 22);
}

TEST_CASE("run-time extents: shards divide them, and the two dimensions of a label must agree") {
  Host dev(1);
  using X = ShardedTensor<f32, Shape<dyn, dyn>, M22, P<a, b>, Host>;
  using W = ShardedTensor<f32, Shape<8, dyn>, M22, P<b>, Host>;
  const auto multiply = [&](index_t k) {
    return einsum<L<'m', 'k'>, L<'k', 'n'>, L<'m', 'n'>>(
        dev, tensor<X>(dev, Extents<Shape<dyn, dyn>>(4, k), random(1, 4 * k)),
        tensor<W>(dev, Extents<Shape<8, dyn>>(6), random(2, 48)));
  };
  const auto y = multiply(8);
  CHECK(y.extent(0) == 4);
  CHECK(y.extent(1) == 6);
  CHECK(error(elements(y), truth<L<'m', 'k'>, L<'k', 'n'>, L<'m', 'n'>>({4, 8}, random(1, 32), {8, 6}, random(2, 48))) <
        1e-6);
  CHECK_THROWS_WITH_AS(multiply(10),
                       "[einsum] paired_dimensions_have_different_extents: dimension 1 of the left operand has extent "
                       "10, dimension 0 of the right one 8",
                       Error);
}

namespace {
/// FLOPs of "btk,kn->btn" on one device of a mesh of 2 x 4.
template <class PX, class PW>
constexpr index_t flops() {
  using M = Grid<2, 4>;
  Dry dev;
  const auto x = make<ShardedTensor<f32, Shape<8, 16, 32>, M, PX>>(dev, {});
  const auto w = make<ShardedTensor<f32, Shape<32, 64>, M, PW>>(dev, {});
  (void)einsum<L<'b', 't', 'k'>, L<'k', 'n'>, L<'b', 't', 'n'>>(dev, x, w);
  return dev.cost.bytes == 0 ? dev.cost.flops : -1;
}
constexpr index_t whole = 2 * 8 * 16 * 32 * 64;
}  // namespace

TEST_CASE("the bill: what one device multiplies, slices of one-sided shardings included") {
  static_assert(flops<P<>, P<>>() == whole);
  static_assert(flops<P<a>, P<None, b>>() == whole / 8);
  static_assert(flops<P<a, None, b>, P<b>>() == whole / 8);
  static_assert(flops<P<a, None, b>, P<>>() == whole / 8);  // w is sliced
  static_assert(flops<P<Partial<a>>, P<>>() == whole);      // every addend costs a product
  CHECK(flops<P<>, P<b>>() == whole / 4);
}
