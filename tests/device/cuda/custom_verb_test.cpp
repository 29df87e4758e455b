// A kernel of one's own as a verb of a device of one's own: docs/how-to/run_on_gpus.md quotes it.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>

#include <tess/cuda.hpp>
#include <tess/io/fill.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;

// [quote:verb]
/// y = x / |x| of rows [width], one warp a row.
__global__ void l2_normalize_rows(f32* y, const f32* x, index_t rows, index_t width) {
  const index_t row = (static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x) / 32;
  if (row >= rows) return;  // whole warps
  f32 sum = 0;
  for (index_t i = threadIdx.x % 32; i < width; i += 32) sum += x[row * width + i] * x[row * width + i];
  for (int lane = 16; lane > 0; lane /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, lane);
  for (index_t i = threadIdx.x % 32; i < width; i += 32) y[row * width + i] = x[row * width + i] * rsqrtf(sum);
}

/// Cuda with one verb more.
struct MyCuda : Cuda {
  using Cuda::Cuda;

  template <AnyTensor X>
  void l2_normalize(X& y, const X& x) {
    const index_t width = x.local_extent(X::rank - 1), rows = x.local_extents().size() / width;
    each_rank<X>([&](index_t rank, cuda::Gpu& gpu) {
      gpu.run(l2_normalize_rows, {.grid = cuda::blocks(cuda::ceil_div(rows, 4)), .block = cuda::blocks(128)},
              y.storage().data(rank), x.storage().data(rank), rows, width);
    });
  }
};

/// The operation: its typing rule, its result, the verb.
template <class D, AnyTensor X>
X l2_normalize(D& dev, const X& x) {
  static_assert(X::sharding.partial == 0, "[l2_normalize] the norm of a sum is no sum of norms: reduce x first");
  static_assert(parts<typename X::mesh>(X::sharding[X::rank - 1]) == 1, "[l2_normalize] rows must be whole: gather x");
  X y = make<X>(dev, x.extents());
  dev.l2_normalize(y, x);
  return y;
}
// [/quote]

TEST_CASE("a device of one's own has a verb more, and all the others") {
  struct data;
  using M = Mesh<Axis<data, 2>>;
  using X = ShardedTensor<f32, Shape<6, 37>, M, P<data, None>, MyCuda>;
  MyCuda dev;
  X x;
  const auto value = [](index_t i, index_t j) { return std::sin(static_cast<f32>(37 * i + j)); };
  io::fill(dev, x, value);
  const auto y = l2_normalize(dev, x);
  const std::vector<f32> found = io::to_vector(dev, reshard<P<None, None>>(dev, y));
  for (index_t i = 0; i < 6; ++i) {
    f64 sum = 0;
    for (index_t j = 0; j < 37; ++j) sum += static_cast<f64>(value(i, j)) * value(i, j);
    for (index_t j = 0; j < 37; ++j)
      CHECK(found[static_cast<std::size_t>(i * 37 + j)] == doctest::Approx(value(i, j) / std::sqrt(sum)).epsilon(1e-5));
  }
  CHECK(dev.traffic().collectives == 1);
}
