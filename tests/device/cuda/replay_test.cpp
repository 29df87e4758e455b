// A recorded step: the numbers of a step that runs as it comes, other rows and tokens each time, no memory that grows.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/cuda.hpp>
#include <tess/ops/attention.hpp>
#include <tess/ops/matmul.hpp>
#include <tess/ops/reshape.hpp>
#include <tess/ops/reshard.hpp>

#include "support/both_devices.hpp"

using namespace tess;

namespace {

struct model;
using M = Mesh<Axis<model, 2>>;
using X = ShardedTensor<f32, Shape<dyn, dyn, 4, 8>, M, P<None, None, model, None>, Cuda>;
using Cache = ShardedTensor<bf16, Shape<dyn, dyn, 4, 8>, M, P<None, None, model, None>, Cuda>;
using W = ShardedTensor<packed<f32>, Shape<32, 24>, M, P<model, None>, Cuda>;

/// An attention layer without its norms: it writes to its cache, attends, and adds up over the mesh.
struct Layer {
  Cuda dev{};
  W w{};
  Cache cache;

  Layer() : cache(make_state<Cache>(dev, Extents<Cache::shape>::from({2, 1024, 4, 8}))) {
    io::fill(dev, w, [](index_t i, index_t j) { return std::sin(static_cast<f32>(3 * i + j)); });
  }
  /// Two rows of one token, numbered `step`.
  X tokens(index_t step) {
    X x;
    io::fill(dev, x, Extents<X::shape>::from({2, 1, 4, 8}), [step](index_t b, index_t, index_t h, index_t d) {
      return std::cos(static_cast<f32>(7 * step + 5 * b + 3 * h + d));
    });
    return x;
  }
  auto operator()(const X& x, Segments rows) {
    const auto heads = rotary<bf16>(dev, x, rows);
    append_to_cache(dev, cache, heads, rows);
    const auto y = attention<f32>(dev, heads, cache, cache, rows, {.scale = 0.3f, .cap = 30});
    return reduce(dev, matmul(dev, merge<2>(y), w));
  }
  /// Other elements in the place where the recorded step reads them.
  void refill(X& x, index_t step) {
    const X fresh = tokens(step);
    dev.each_rank<X>([&](index_t r, cuda::Gpu& gpu) {
      cuda::check(cudaMemcpyAsync(x.storage().data(r), fresh.storage().data(r),
                                  static_cast<std::size_t>(x.local_extents().size()) * sizeof(f32),
                                  cudaMemcpyDeviceToDevice, gpu.stream()),
                  "a copy");
    });
  }
};

std::array<Segment, 2> rows_of(index_t step) { return {{{1, step, 1}, {0, 2 * step, 1}}}; }  // of different lengths

#ifdef TESS_ON_GPU
constexpr index_t steps = 500;
#else
constexpr index_t steps = 12;
#endif

}  // namespace

TEST_CASE("a recorded step gives the numbers of one that runs as it comes") {
  Layer eager, recorded;
  X x = recorded.tokens(0);
  const index_t key[] = {2, 1};
  for (index_t step = 0; step < steps; ++step) {
    const auto rows = rows_of(step);
    const auto y = eager(eager.tokens(step), Segments(rows.data(), 2));
    recorded.refill(x, step);
    const auto z =
        recorded.dev.replay(key, Segments(rows.data(), 2), [&] { return recorded(x, Segments(rows.data(), 2)); });
    REQUIRE(io::to_vector(eager.dev, y) == io::to_vector(recorded.dev, z));
  }
  CHECK(recorded.dev.recorded_steps() == 1);
  CHECK(recorded.dev.traffic().collectives == eager.dev.traffic().collectives);
  CHECK(recorded.dev.traffic().busiest_bytes == eager.dev.traffic().busiest_bytes);
}

TEST_CASE("after its second time a step asks for no memory, however often it runs") {
  Layer layer;
  X x = layer.tokens(0);
  const index_t key[] = {2, 1};
  index_t allocations = 0;
  for (index_t step = 0; step < (steps > 100 ? 1000 : steps); ++step) {
    const std::array<Segment, 2> rows{{{0, step % 1024, 1}, {1, step % 1024, 1}}};
    const Segments segments(rows.data(), 2);
    (void)layer.dev.replay(key, segments, [&] { return layer(x, segments); });
    if (step == 2) allocations = layer.dev.gpu(0).memory().allocations();
  }
  layer.dev.wait();
  CHECK(layer.dev.gpu(0).memory().allocations() == allocations);
}

TEST_CASE("a step that asks the host for a number runs as it comes, every time") {
  Layer layer;
  const X x = layer.tokens(0);
  const Segment rows[] = {{0, 0, 1}, {1, 0, 1}};
  const index_t key[] = {2, 1};
  for (int i = 0; i < 3; ++i)
    (void)layer.dev.replay(key, Segments(rows), [&] {
      layer.dev.needs_host();
      return layer(x, rows);
    });
  CHECK(layer.dev.recorded_steps() == 0);
}

TEST_CASE("what goes wrong while a step is recorded is said, and leaves nothing recorded") {
  Layer layer;
  const X x = layer.tokens(0);
  const Segment rows[] = {{0, 0, 1}, {1, 0, 1}};
  const index_t key[] = {2, 1};
  int calls = 0;
  const auto step = [&] {
    return layer.dev.replay(key, Segments(rows), [&] {
      if (++calls == 2) fail("a mistake in the model");
      return layer(x, rows);
    });
  };
  (void)step();
  CHECK_THROWS_WITH_AS(step(), "a mistake in the model", Error);
  CHECK(layer.dev.recorded_steps() == 0);
  (void)step();
  CHECK(layer.dev.recorded_steps() == 1);
}

TEST_CASE("verbs of a step are given the rows that the step was given") {
  Layer layer;
  const X x = layer.tokens(0);
  const Segment rows[] = {{0, 0, 1}, {1, 0, 1}}, others[] = {{0, 1, 1}, {1, 0, 1}};
  const index_t key[] = {2, 1};
  CHECK_THROWS_WITH_AS((void)layer.dev.replay(key, Segments(rows), [&] { return layer(x, others); }),
                       "[replay] the step was given other rows than its verbs are", Error);
}
