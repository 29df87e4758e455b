// A stranger's first program for GPUs, built against the installed package: a sum of two tensors; or it says why not.
// SPDX-License-Identifier: Apache-2.0
#include <cstdio>

#include <tess/cuda.hpp>
#include <tess/io/fill.hpp>
#include <tess/ops/elementwise.hpp>

int main() {
  using namespace tess;
  using X = ShardedTensor<f32, Shape<4, 6>, Mesh<>, P<>, Cuda>;
  try {
    Cuda dev;
    X x;
    io::fill(dev, x, [](index_t i, index_t j) { return 6 * i + j; });
    const auto sum = io::to_vector(dev, add(dev, x, x));
    std::printf("%g\n", static_cast<double>(sum[23]));
    return sum[23] == 46 ? 0 : 1;
  } catch (const NoDevice& e) {  // expected where tests of packages run without a GPU
    std::printf("%s\n", e.what());
    return 0;
  }
}
