// Tutorial 2, a sharded matmul: a product over a sharded dimension leaves a pending sum, and only a verb finishes it.
// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <tess/io/fill.hpp>
#include <tess/io/visualize.hpp>
#include <tess/ops/matmul.hpp>
#include <tess/ops/reshard.hpp>
#include <type_traits>

namespace {

using namespace tess;

struct data;
struct model;

/// The same program for every mesh: x [4, 8, 64] · w [64, 32]. The elements are whole numbers, so every sum is exact.
// [quote:program]
template <AnyMesh M>
auto product(Host& dev) {
  ShardedTensor<f32, Shape<4, 8, 64>, M, P<data, None, model>, Host> x;
  ShardedTensor<f32, Shape<64, 32>, M, P<model, None>, Host> w;
  io::fill(dev, x, [](index_t b, index_t t, index_t k) { return (b + 2 * t + 3 * k) % 7 - 3; });
  io::fill(dev, w, [](index_t k, index_t n) { return (5 * k + n) % 11 - 5; });
  return matmul(dev, x, w);  // P<data, None, model> by P<model, None>
}
// [/quote]

}  // namespace

int main() {
  // [quote:partial]
  using Grid = Mesh<Axis<data, 2>, Axis<model, 4>>;
  Host dev;  // all eight devices are simulated in this process, with real numbers

  const auto y = product<Grid>(dev);  // [4, 8, 32]
  static_assert(std::is_same_v<decltype(y)::spec, P<data, None, None, Partial<model>>>);
  const bool silent = dev.traffic().collectives == 0;  // no operation but a verb moves a byte

  const auto z = reduce(dev, y);  // an all-reduce over `model`
  static_assert(std::is_same_v<decltype(z)::spec, P<data, None, None>>);
  // [/quote]

  // [quote:visualize]
  visualize(y);  // four addends in each of two boxes
  visualize(z);  // their sum, on all four devices
  // [/quote]

  std::printf(
      "y[0, 0, 0] is a sum that is still pending: each device along `model` has multiplied its own 16 of 64.\n");
  f32 sum = 0;
  for (index_t device = 0; device < 4; ++device) {
    std::printf("  device %td holds %4g\n", device, static_cast<double>(y.storage().data(device)[0]));
    sum += y.storage().data(device)[0];
  }
  std::printf("reduce(dev, y) makes it %g on all of them: %td collective, %td bytes received by each device.\n",
              static_cast<double>(z.storage().data(0)[0]), dev.traffic().collectives, dev.traffic().most_bytes());

  // [quote:equal]
  using One = Mesh<Axis<data, 1>, Axis<model, 1>>;
  const bool equal = io::to_vector(z) == io::to_vector(reduce(dev, product<One>(dev)));
  // [/quote]
  std::printf("All %td numbers equal those of one device: %s.\n", z.extents().size(), equal ? "yes" : "no");
  return silent && equal && sum == z.storage().data(0)[0] ? 0 : 1;
}
