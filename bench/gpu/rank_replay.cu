// Rank replay: this GPU plays one of the eight ranks of full-size Grok-1; the other seven are not there.
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "grok1/model.hpp"
#include "operations.hpp"
#include "random.hpp"

namespace bench {

namespace {

/// Grok-1, the residual stream whole on every rank: two all-reduces a layer and no more.
struct Config {
  static constexpr grok1::LanguageModelConfig value = [] {
    auto c = grok1::grok_1;
    c.model.shard_activations = false;
    c.model.num_layers = dyn;  // 64 equal layers in a type are minutes of nvcc
    return c;
  }();
};
using M = Mesh<Axis<grok1::data, 1>, Axis<grok1::model, 8>>;
using Model = grok1::LanguageModel<Config, M, Cuda>;
using Ids = grok1::Types<Config, M, Cuda>::Tokens;

/// Seconds of one all-reduce of [tokens, 6144] bf16 among 8 H100: NCCL 2.28.9's own model of its symmetric kernels.
double all_reduce_seconds(index_t tokens) {
  constexpr struct {
    double tokens, microseconds;
  } known[] = {{1, 6.3}, {8, 8.2}, {64, 8.9}, {256, 13.7}, {1024, 34.3}, {8192, 252}};
  double t = known[0].microseconds;
  for (std::size_t i = 1; i < std::size(known); ++i)
    if (const double at = static_cast<double>(tokens); at > known[i - 1].tokens) {
      const double part = std::min(1.0, (at - known[i - 1].tokens) / (known[i].tokens - known[i - 1].tokens));
      t = known[i - 1].microseconds + part * (known[i].microseconds - known[i - 1].microseconds);
    }
  return t * 1e-6;
}

struct Replay {
  Cuda dev;
  Model model;

  explicit Replay(int gpu)
      : dev(cuda::Options{.gpus = {gpu}, .process = 0, .processes = 8, .alone = true}), model(grok1::grok_1) {
    unsigned long long seed = 0;
    model.parameters([&](const nn::Scope&, auto& x) { randomize(dev, x, ++seed); });
    dev.wait();
  }

  Ids tokens(index_t batch, index_t length) {
    const auto ids = make_state<Ids>(dev, Extents<Shape<dyn, dyn>>{batch, length});
    std::vector<i32> numbers;
    for (index_t i = 0; i < batch * length; ++i) numbers.push_back(static_cast<i32>(i * 7919 % (1 << 17)));
    dev.gpu(0).upload(ids.storage().data(0), numbers.data(), static_cast<index_t>(numbers.size() * sizeof(i32)));
    return ids;
  }

  Pass decode(index_t batch, double must, double stretch) {
    constexpr index_t context = 8192;
    auto memory = model.init_memory(dev, batch, context);
    const Ids ids = tokens(batch, 1);
    std::vector<Segment> rows;
    for (index_t b = 0; b < batch; ++b) rows.push_back({b, context - 1, 1});
    const Segments segments(rows.data(), batch);
    const double t = seconds_a_replay(dev, segments, 1, 50, [&](index_t) { return model(dev, ids, memory, segments); });
    return {"decode, batch " + std::to_string(batch) + ", context 8192",
            t,
            128 * all_reduce_seconds(batch),
            must,
            stretch,
            batch};
  }

  Pass prefill(index_t length, double must, double stretch) {
    auto memory = model.init_memory(dev, 1, length);
    const Ids ids = tokens(1, length);
    const Segment row[] = {{0, 0, length}};
    dev.terms = cuda::Terms::one;
    const double t = seconds(dev.gpu(0), 5, [&] { (void)model(dev, ids, memory, row); });
    dev.terms = cuda::Terms::two;
    dev.wait();
    return {
        "prefill, " + std::to_string(length) + " tokens", t, 128 * all_reduce_seconds(length), must, stretch, length};
  }
};

}  // namespace

std::vector<Pass> replay_rank(int gpu) {
  Replay r(gpu);
  return {r.decode(1, 4.9e-3, 4.2e-3), r.decode(8, 0, 0), r.decode(64, 0, 0), r.prefill(1024, 0, 0),
          r.prefill(8192, 300e-3, 265e-3)};
}

}  // namespace bench
