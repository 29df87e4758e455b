// The program in the README: a matmul sharded over eight devices, which are simulated in this process.
// SPDX-License-Identifier: Apache-2.0
// [quote:program]
#include <cstdio>
#include <tess/tess.hpp>

namespace app {
using namespace tess;
struct data;  // the axes of the mesh
struct model;
using Grid = Mesh<Axis<data, 2>, Axis<model, 4>>;                         // eight devices
using X = ShardedTensor<f32, Shape<16, 64>, Grid, P<data, model>, Host>;  // rows over data, columns over model
using W = ShardedTensor<f32, Shape<64, 32>, Grid, P<model, None>, Host>;
}  // namespace app

int main() {
  using namespace app;
  Host dev;
  X x;
  W w;
  io::fill(dev, x, [](index_t i, index_t k) { return (i + k) % 3; });  // by the indices in the whole tensor
  io::fill(dev, w, [](index_t k, index_t n) { return k * n % 5 - 1; });

  const auto y = matmul(dev, x, w);                    // P<data, None, Partial<model>>: a sum is pending
  const auto z = reduce(dev, y);                       // P<data, None>: an all-reduce over model
  const auto a = map<f32>(dev, nn::SquaredRelu{}, z);  // elementwise
  std::printf("%g, after %td bytes to each device\n", io::to_vector(a)[40], dev.traffic().most_bytes());
}
// [/quote]
