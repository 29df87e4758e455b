// An operation on sharded tensors, on several meshes, against the same operation on one device, number by number.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <tuple>

#include <tess/core/type_name.hpp>

#include "tensors.hpp"

namespace support {

struct data;
struct model;
template <class... Specs>
struct specs {};
/// The meshes of the property tests: extents that 2, 3, 4 and 6 divide go on all of them.
using TwoByThree = Mesh<Axis<data, 2>, Axis<model, 3>>;
using TwoByTwo = Mesh<Axis<data, 2>, Axis<model, 2>>;
using OneByFour = Mesh<Axis<data, 1>, Axis<model, 4>>;

/// Where elements of a tensor lie, without its types: what is said of it is compiled once.
struct Layout {
  MeshValue mesh;
  SpecValue spec;
  std::vector<index_t> extents, local;

  index_t shard(int d, index_t device) const {
    index_t at = 0;
    for (int i = 0; i < spec[d].count; ++i) at = at * mesh.size(spec[d][i]) + mesh.coordinate(device, spec[d][i]);
    return at;
  }
  /// Which of the addends of a pending value a device holds; how many there are.
  index_t addend(index_t device) const {
    index_t at = 0;
    for (int a = 0; a < mesh.rank; ++a)
      if (spec.partial >> a & 1u) at = at * mesh.size(a) + mesh.coordinate(device, a);
    return at;
  }
  index_t addends() const {
    index_t n = 1;
    for (int a = 0; a < mesh.rank; ++a) n *= spec.partial >> a & 1u ? mesh.size(a) : 1;
    return n;
  }
  /// Row-major numbers, in the whole, of the elements that a device holds.
  std::vector<std::size_t> held(index_t device) const {
    std::vector<std::size_t> all{0};
    for (std::size_t d = 0; d < extents.size(); ++d) {
      std::vector<std::size_t> next;
      const index_t first = shard(static_cast<int>(d), device) * local[d];
      for (const std::size_t before : all)
        for (index_t i = 0; i < local[d]; ++i)
          next.push_back(before * static_cast<std::size_t>(extents[d]) + static_cast<std::size_t>(first + i));
      all = std::move(next);
    }
    return all;
  }
};
template <class X>
Layout layout_of(const X& x) {
  Layout l{mesh_value<typename X::mesh>, X::sharding, {}, {}};
  for (int d = 0; d < X::rank; ++d) l.extents.push_back(x.extent(d)), l.local.push_back(x.local_extent(d));
  return l;
}

/// The whole from what the devices hold; copies must agree, and of a pending sum the addends are added.
inline std::vector<f64> assembled(const Layout& l, const std::vector<std::vector<f64>>& shards) {
  std::size_t size = 1;
  for (const index_t n : l.extents) size *= static_cast<std::size_t>(n);
  std::vector<f64> sum(size);
  bool agree = true;
  for (index_t p = 0; p < l.addends(); ++p) {
    std::vector<f64> part(size, std::nan(""));
    for (index_t r = 0; r < l.mesh.devices(); ++r) {
      if (l.addend(r) != p) continue;
      const auto at = l.held(r);
      for (std::size_t i = 0; i < at.size(); ++i) {
        f64& to = part[at[i]];
        const f64 v = shards[static_cast<std::size_t>(r)][i];
        agree = agree && (std::isnan(to) || to == v);
        to = v;
      }
    }
    for (std::size_t i = 0; i < size; ++i) sum[i] += part[i];  // NaN where no device has it
  }
  CHECK(agree);
  return sum;
}
template <AnyTensor X>
std::vector<f64> numbers(const X& x) {
  std::vector<std::vector<f64>> shards;
  for (index_t r = 0; r < X::mesh::size; ++r)
    shards.emplace_back(x.storage().data(r), x.storage().data(r) + x.local_extents().size());
  return assembled(layout_of(x), shards);
}
/// A tensor with these elements; of a pending value, addend i has them i + 1 times.
template <class X>
X filled(Host& dev, const std::vector<f64>& values) {
  X x = make<X>(dev, Extents<typename X::shape>{});
  const Layout l = layout_of(x);
  for (index_t r = 0; r < X::mesh::size; ++r) {
    auto* to = x.storage().data(r);
    for (const std::size_t i : l.held(r))
      *to++ = static_cast<typename X::value_type>(static_cast<f32>(values[i] * static_cast<f64>(l.addend(r) + 1)));
  }
  return x;
}
inline std::vector<f64> times(std::vector<f64> values, f64 factor) {
  for (f64& v : values) v *= factor;
  return values;
}
inline std::vector<f64> noisy(index_t seed, index_t size, bool whole_numbers) {
  std::vector<f64> v;
  for (index_t i = 0; i < size; ++i) v.push_back(whole_numbers ? std::floor(noise(seed, i) * 8) + 8 : noise(seed, i));
  return v;
}

template <class R>
requires requires(const R& r) {
  r.values;
  r.indices;
}
std::vector<f64> numbers(const R& top) {
  auto all = numbers(top.values);
  for (const f64 i : numbers(top.indices)) all.push_back(i);
  return all;
}
template <class... R>
std::vector<f64> numbers(const std::tuple<R...>& results) {
  std::vector<f64> all;
  std::apply(
      [&](const auto&... r) {
        const auto add = [&](const std::vector<f64>& v) { all.insert(all.end(), v.begin(), v.end()); };
        (add(numbers(r)), ...);
      },
      results);
  return all;
}
template <class R, std::size_t N>
std::vector<f64> numbers(const std::array<R, N>& results) {
  std::vector<f64> all;
  for (const R& r : results)
    for (const f64 v : numbers(r)) all.push_back(v);
  return all;
}

/// How often the values stand in the pending sum of `filled`: 1 + 2 + ... .
template <class X>
f64 addends_of() {
  const auto n = static_cast<f64>(layout_of(X{}).addends());
  return n * (n + 1) / 2;
}

using OneDevice = Mesh<>;
template <class X>
using Whole = ShardedTensor<typename X::value_type, typename X::shape, OneDevice, P<>, Host>;
template <class X>
using Billed = ShardedTensor<typename X::value_type, typename X::shape, typename X::mesh, typename X::spec>;

inline void check_same(const std::vector<f64>& found, const std::vector<f64>& expected, const Traffic& traffic,
                       const Cost& bill, const std::string& what) {
  INFO(what);
  CHECK(found == expected);
  CHECK(traffic.collectives == 0);
  CHECK(traffic.most_bytes() == 0);
  CHECK(bill.collectives == 0);
  CHECK(bill.bytes == 0);
}

/// f(dev, x...) equals f of the whole tensors, moves no byte, and says so on Dry.
template <class... X, class F>
void check_as_whole(F f, const std::string& what) {
  Host dev(1);
  index_t seed = 7;
  const std::vector<std::vector<f64>> values{
      noisy(seed++, Extents<typename X::shape>{}.size(), std::is_integral_v<typename X::value_type>)...};
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    const auto expected = numbers(f(dev, filled<Whole<X>>(dev, times(values[I], addends_of<X>()))...));
    dev.reset_traffic();
    const auto found = numbers(f(dev, filled<X>(dev, values[I])...));
    Dry dry;
    (void)f(dry, Billed<X>{}...);
    check_same(found, expected, dev.traffic(), dry.cost, what);
  }
  (std::index_sequence_for<X...>{});
}

template <class... X, class F>
void check_named(F f, const std::string& spec) {
  check_as_whole<X...>(
      f, spec + " on " + std::string(type_name<typename std::tuple_element_t<0, std::tuple<X...>>::mesh>()));
}

/// With x of shape S and element type T, sharded as each of the specs on 2 x 3 devices, as the first on 2 x 2 and 1
/// x 4.
template <class S, class T = f32, class F, class First, class... Spec>
void same_as_whole(specs<First, Spec...>, F f) {
  const auto on = [&]<class M, class A>(M, std::type_identity<A>) {
    check_named<ShardedTensor<T, S, M, A, Host>>(f, std::string(type_name<A>()));
  };
  on(TwoByThree{}, std::type_identity<First>{});
  on(TwoByTwo{}, std::type_identity<First>{});
  on(OneByFour{}, std::type_identity<First>{});
  (on(TwoByThree{}, std::type_identity<Spec>{}), ...);
}

/// With two operands, sharded as each pair of specs says, on the same meshes.
template <class A, class B>
struct pair_of_specs {};
template <class SX, class SY, class First, class... Pair, class F>
void same_pair_as_whole(specs<First, Pair...>, F f) {
  const auto on = [&]<class M, class A, class B>(M, pair_of_specs<A, B>) {
    check_named<ShardedTensor<f32, SX, M, A, Host>, ShardedTensor<f32, SY, M, B, Host>>(
        f, std::string(type_name<A>()) + ", " + std::string(type_name<B>()));
  };
  on(TwoByThree{}, First{});
  on(TwoByTwo{}, First{});
  on(OneByFour{}, First{});
  (on(TwoByThree{}, Pair{}), ...);
}

}  // namespace support
