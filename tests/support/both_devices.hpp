// The same tensors on Host and on a device under test, and the law that an operation gives the same numbers on both.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <utility>

#include <tess/io/fill.hpp>

#include "tensors.hpp"

namespace support {

/// X is a tensor of Host; `device` is the same, element by element, on device D.
template <class X, class D>
struct Both {
  X host;
  io::with_device<X, D> device;
};

/// Host beside a device under test:
///
///   BothDevices both(device);
///   const auto x = both.template random<X>(1, {3, 8});        // X = ShardedTensor<f32, ..., Host>
///   const auto w = both.template weight<W>(2, {8, 5}, 1);     // W = ShardedTensor<packed<q8<dyn>>, ..., Host>
///   both.check(1e-6, [](auto& dev, const auto& x, const auto& w) { return matmul(dev, x, w); }, x, w);
template <class D>
class BothDevices {
 public:
  Host host{1};
  D& device;

  explicit BothDevices(D& under_test) : device(under_test) {}

  /// A tensor that exists on Host, there and here.
  template <class X>
  Both<X, D> both(const X& x) {
    return {x, io::on_device(device, x)};
  }
  /// These elements of the whole, row-major; of a pending value, each device holds its part.
  template <class X, class V>
  Both<X, D> tensor(const Extents<typename X::shape>& extents, const std::vector<V>& values) {
    return both(support::tensor<X>(host, extents, values));
  }
  /// Numbers in [-scale, scale); whole ones for integers.
  template <class X>
  Both<X, D> random(index_t seed, const Extents<typename X::shape>& extents, f64 scale = 1) {
    std::vector<f32> values = support::random(seed, extents.size(), scale);
    if constexpr (std::is_integral_v<typename X::value_type>)
      for (f32& v : values) v = std::floor(v);
    return tensor<X>(extents, values);
  }
  /// A parameter (packed<E> or table<E>) of random numbers in [-1, 1), with `groups` scale rows where E is int8.
  template <class X>
  Both<X, D> weight(index_t seed, std::vector<index_t> shape, index_t groups = 1) {
    index_t n = 1;
    for (const index_t e : shape) n *= e;
    X x;
    support::load(host, x, std::move(shape), support::random(seed, n), groups);
    return both(x);
  }

  /// The whole of a tensor of the device, row-major; every replica holds the same bits.
  template <class Y>
  auto elements(const Y& y) {
    return support::elements(io::on_each_host(device, y));
  }
  /// y of the device and z of Host agree up to `tolerance` times the largest element; 0: they are equal.
  template <class Y, class Z>
  void check_same(f64 tolerance, const Y& y, const Z& z) {
    static_assert(std::is_same_v<io::with_device<Y, Host>, io::with_device<Z, Host>>,
                  "[test] the two results are not of one type");
    REQUIRE(y.extents().array() == z.extents().array());
    const auto found = elements(y), truth = support::elements(z);
    if (truth.empty()) return;
    CHECK(support::error(found, truth) <= tolerance);
  }
  /// op(dev, x...) gives the same on both devices, and moves the same bytes.
  template <class Op, class... X>
  auto check(f64 tolerance, Op op, const Both<X, D>&... x) {
    host.reset_traffic(), device.reset_traffic();
    const auto z = op(host, x.host...);
    const auto y = op(device, x.device...);
    check_same(tolerance, y, z);
    CHECK(device.traffic().collectives == host.traffic().collectives);
    CHECK(device.traffic().busiest_bytes == host.traffic().busiest_bytes);
    return y;
  }
};

}  // namespace support
