// Tensors filled from and read into plain vectors, weights through the loader, and random numbers that never change.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <doctest/doctest.h>

#include <cmath>
#include <memory>
#include <vector>

#include <tess/device/dry.hpp>
#include <tess/device/host.hpp>
#include <tess/io/load.hpp>
#include <tess/sharding/device_slice.hpp>

namespace support {

using namespace tess;

/// In [-1, 1), a function of `seed` and `i` alone; multiples of 1/4096, so that short sums of products are exact in f32.
inline f64 noise(index_t seed, index_t i) {
  auto h = static_cast<std::uint64_t>(seed * 1000003 + i) * 0x9e3779b97f4a7c15u;
  h = (h ^ h >> 29) * 0xbf58476d1ce4e5b9u;
  return static_cast<f64>(static_cast<index_t>(h >> 51) - 4096) / 4096;
}
inline std::vector<f32> random(index_t seed, index_t size, f64 scale = 1) {
  std::vector<f32> v(static_cast<std::size_t>(size));
  for (index_t i = 0; i < size; ++i) v[static_cast<std::size_t>(i)] = static_cast<f32>(scale * noise(seed, i));
  return v;
}

/// f(local offset, global offset) for every element of the shard of `device`, both row-major.
template <class X, class F>
void for_each_element(const X& x, index_t device, F f) {
  const auto slice = device_slice<typename X::spec, typename X::mesh>(x.extents(), device);
  const index_t size = x.local_extents().size();
  for (index_t local = 0; local < size; ++local) {
    index_t rest = local, global = 0, stride = 1;
    for (int d = X::rank - 1; d >= 0; --d) {
      global += (slice[static_cast<std::size_t>(d)].begin + rest % x.local_extent(d)) * stride;
      rest /= x.local_extent(d);
      stride *= x.extent(d);
    }
    f(local, global);
  }
}

/// The coordinates of a device over the axes of a pending sum, as one number; 0 … addends - 1.
template <class X>
index_t addend(index_t device) {
  index_t at = 0;
  for (int a = 0; a < X::mesh::rank; ++a)
    if (X::sharding.partial >> a & 1u) at = at * X::mesh::axis_size(a) + X::mesh::coordinate(device, a);
  return at;
}

/// What device number k of a group holds of a pending value: of a sum v · (k + 1), of a maximum or minimum v at k = 0.
template <class X, class V>
V part_of(V v, index_t k) {
  using N = std::conditional_t<std::is_same_v<V, bf16>, f32, V>;
  const N w = static_cast<N>(v), n = static_cast<N>(k);
  return V(X::sharding.kind == Reduction::max ? w - n : X::sharding.kind == Reduction::min ? w + n : w * (n + 1));
}
/// And how two such parts are put together.
template <class X, class T>
T put_together(T a, T b) {
  return X::sharding.kind == Reduction::max   ? (a < b ? b : a)
         : X::sharding.kind == Reduction::min ? (b < a ? b : a)
                                              : T(a + b);
}

/// A tensor with these elements (row-major, of the whole). Of a pending value every device holds its part (`part_of`).
template <class X, class V>
X tensor(Host& dev, const Extents<typename X::shape>& extents, const std::vector<V>& values) {
  REQUIRE(static_cast<index_t>(values.size()) == extents.size());
  X x = make<X>(dev, extents);
  for (index_t r = 0; r < X::mesh::size; ++r)
    for_each_element(x, r, [&](index_t local, index_t global) {
      const V v = values[static_cast<std::size_t>(global)];
      x.storage().data(r)[local] = typename X::value_type(part_of<X>(v, addend<X>(r)));
    });
  return x;
}

/// All elements, row-major; every device that holds one must hold the same bits. Of a pending value, what the parts are together.
template <class X>
std::vector<typename X::value_type> elements(const X& x) {
  using T = typename X::value_type;
  std::vector<T> all(static_cast<std::size_t>(x.extents().size()));
  std::vector<index_t> seen(all.size(), -1);  // by which addend last
  bool copies_agree = true, each_once = true;
  index_t addends = 1;
  for (int a = 0; a < X::mesh::rank; ++a)
    if (X::sharding.partial >> a & 1u) addends *= X::mesh::axis_size(a);
  for (index_t p = 0; p < addends; ++p) {
    std::vector<T> part(all.size());
    std::vector<char> have(all.size(), 0);
    for (index_t r = 0; r < X::mesh::size; ++r) {
      if (addend<X>(r) != p) continue;
      for_each_element(x, r, [&](index_t local, index_t global) {
        const auto g = static_cast<std::size_t>(global);
        const T v = x.storage().data(r)[local], before = part[g];
        if (have[g]) copies_agree = copies_agree && std::memcmp(&v, &before, sizeof(T)) == 0;
        part[g] = v;
        have[g] = 1;
      });
    }
    for (std::size_t i = 0; i < all.size(); ++i) {
      each_once = each_once && have[i];
      all[i] = p == 0 ? part[i] : put_together<X, T>(all[i], part[i]);
    }
  }
  CHECK(copies_agree);
  CHECK(each_once);
  return all;
}

/// Numbers [.., K, N] as a weight of element type E in a checkpoint, and what they are after rounding.
struct Rounded {
  io::Leaf leaf;
  std::vector<f32> values;
};
template <class E>
Rounded rounded(std::vector<index_t> shape, const std::vector<f32>& wanted, index_t groups = 1) {
  Rounded r;
  if constexpr (is_q8<E>) {
    const index_t K = shape[shape.size() - 2], N = shape.back(), rows = K / groups;
    const index_t matrices = static_cast<index_t>(wanted.size()) / (K * N);
    std::vector<std::int8_t> q(wanted.size());
    std::vector<bf16> scales(static_cast<std::size_t>(matrices * groups * N));
    r.values.resize(wanted.size());
    for (index_t m = 0; m < matrices; ++m)
      for (index_t g = 0; g < groups; ++g)
        for (index_t n = 0; n < N; ++n) {
          const auto at = [&](index_t k) { return static_cast<std::size_t>((m * K + g * rows + k) * N + n); };
          f32 largest = 1e-6f;
          for (index_t k = 0; k < rows; ++k) largest = std::max(largest, std::abs(wanted[at(k)]));
          const bf16 scale(largest / 127);
          scales[static_cast<std::size_t>((m * groups + g) * N + n)] = scale;
          for (index_t k = 0; k < rows; ++k) {
            const f32 v = std::min(127.0f, std::max(-127.0f, std::round(wanted[at(k)] / f32(scale))));
            q[at(k)] = static_cast<std::int8_t>(v);
            r.values[at(k)] = v * f32(scale);
          }
        }
    std::vector<index_t> scale_shape = shape;
    scale_shape[shape.size() - 2] = groups;
    r.leaf.weight = io::array_of(io::DType::i8, shape, q);
    r.leaf.scales = io::array_of(io::DType::bf16, scale_shape, scales);
  } else {
    for (const f32 v : wanted) r.values.push_back(std::is_same_v<E, bf16> ? f32(bf16(v)) : v);
    r.leaf.weight = io::array_of(io::DType::f32, shape, wanted);
  }
  return r;
}

/// The groups of scales of an element type; 1 where it has none.
template <class E>
inline constexpr index_t scale_groups = 1;
template <index_t G>
inline constexpr index_t scale_groups<q8<G>> = G;

/// Fills a parameter through the loader, and gives the numbers that it then holds.
template <class X>
std::vector<f32> load(Host& dev, X& x, std::vector<index_t> shape, const std::vector<f32>& wanted, index_t groups = 1) {
  const Rounded r = rounded<unpacked_t<typename X::value_type>>(std::move(shape), wanted, groups);
  io::load(dev, x, r.leaf, "a weight");
  return r.values;
}

/// sum over k of x[m, k] w[k, n] in f64.
inline std::vector<f64> product(const std::vector<f64>& x, const std::vector<f32>& w, index_t K, index_t N) {
  const index_t M = static_cast<index_t>(x.size()) / K;
  std::vector<f64> y(static_cast<std::size_t>(M * N));
  for (index_t m = 0; m < M; ++m)
    for (index_t k = 0; k < K; ++k)
      for (index_t n = 0; n < N; ++n)
        y[static_cast<std::size_t>(m * N + n)] +=
            x[static_cast<std::size_t>(m * K + k)] * static_cast<f64>(w[static_cast<std::size_t>(k * N + n)]);
  return y;
}
inline std::vector<f64> widened(const std::vector<f32>& v) { return {v.begin(), v.end()}; }

/// The largest difference, as a fraction of the largest element of `truth`.
template <class A, class B>
f64 error(const std::vector<A>& found, const std::vector<B>& truth) {
  REQUIRE(found.size() == truth.size());
  f64 largest = 0, most = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    const f64 d = std::abs(static_cast<f64>(found[i]) - static_cast<f64>(truth[i]));
    most = d <= most ? most : d;  // NaN counts
    if (!(d >= 0)) return 1e300;
    largest = std::max(largest, std::abs(static_cast<f64>(truth[i])));
  }
  return most / std::max(largest, 1e-300);
}

/// Traffic of everything since the last call must be the bill: `program(dev)` runs on Host; the same on Dry costs `bill`.
inline void check_traffic(Host& dev, const Cost& bill) {
  CHECK(dev.traffic().collectives == bill.collectives);
  for (const index_t bytes : dev.traffic().bytes) CHECK(bytes <= bill.bytes);
  CHECK(dev.traffic().busiest_bytes == bill.bytes);
  dev.reset_traffic();
}

}  // namespace support
