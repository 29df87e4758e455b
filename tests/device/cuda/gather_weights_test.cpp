// gather_weights on GPUs: parts of a parameter put together, scales and all, and the bytes that it moves.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/cuda.hpp>
#include <tess/ops/gather_weights.hpp>

#include "support/both_devices.hpp"

using namespace tess;
using namespace support;

namespace {

struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 2>>;

/// A weight [4, 24, 20] (or [24, 20]) of E, P<..., data, model>, gathered over `data` and over both.
template <class E>
void check_gathered(index_t groups) {
  Cuda dev;
  BothDevices both(dev);
  CAPTURE(groups);
  const auto check = [&](auto op, const auto& w) {
    dev.reset_traffic(), both.host.reset_traffic();
    const auto found = op(dev, w.device);
    const auto expected = op(both.host, w.host);
    CHECK(io::to_vector(dev, found) == io::to_vector(expected));
    CHECK(dev.traffic().collectives == both.host.traffic().collectives);
    CHECK(dev.traffic().bytes == both.host.traffic().bytes);
  };
  using W = ShardedTensor<packed<E>, Shape<24, 20>, M, P<data, model>, Host>;
  const auto w = both.template weight<W>(1, {24, 20}, groups);
  check([](auto& d, const auto& x) { return gather_weights<P<None, model>>(d, x); }, w);
  check([](auto& d, const auto& x) { return gather_weights<P<None, None>>(d, x); }, w);
  using Experts = ShardedTensor<packed<E>, Shape<4, 24, 20>, M, P<model, data, None>, Host>;
  const auto experts = both.template weight<Experts>(2, {4, 24, 20}, groups);
  check([](auto& d, const auto& x) { return gather_weights<P<model, None, None>>(d, x); }, experts);
}

}  // namespace

TEST_CASE("f32") { check_gathered<f32>(1); }
TEST_CASE("bf16") { check_gathered<bf16>(1); }
TEST_CASE("int8, whose groups of scales lie within a part, are parts, or cross them") {
  for (const index_t groups : {1, 2, 3, 8}) check_gathered<q8<dyn>>(groups);
}
