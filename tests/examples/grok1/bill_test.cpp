// Grok-1 at its true size on three meshes: it compiles, and the compiler knows what a token costs.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/comm/predict.hpp>
#include <tess/device/dry.hpp>

#include "grok1/model.hpp"

using namespace tess;

namespace {

struct Unsharded {  // activations whole on every device
  static constexpr grok1::LanguageModelConfig value = [] {
    auto c = grok1::grok_1;
    c.model.shard_activations = false;
    return c;
  }();
};

template <class C, class M>
constexpr Cost decode_step(index_t batch, index_t position) {
  Dry dev;
  const grok1::LanguageModel<C, M, Dry> model;
  auto memory = model.init_memory(dev, batch, C::value.sequence_len);
  const auto tokens = make<typename grok1::Types<C, M, Dry>::Tokens>(dev, Extents<Shape<dyn, dyn>>{batch, index_t{1}});
  const Segment rows[] = {{0, position, 1}, {1, position, 1}};
  (void)model(dev, tokens, memory, Segments(rows, batch));
  return dev.cost;
}

template <index_t Data, index_t Model>
using Grid = Mesh<Axis<grok1::data, Data>, Axis<grok1::model, Model>>;

constexpr index_t layers = 64, emb = 6144, vocabulary = 131072, f32_bytes = 4;

/// Received by one of 8 devices: an all-gather to n elements or a reduce-scatter of n; an all-reduce of n, which is both.
constexpr index_t gathered(index_t n) { return n / 8 * 7 * f32_bytes; }
constexpr index_t all_reduced(index_t n) { return n == 1 ? 7 * f32_bytes : 2 * gathered(n); }

constexpr Cost one = decode_step<grok1::Grok1Config, Grid<1, 1>>(1, 100);
static_assert(one.collectives == 0 && one.bytes == 0);

// Sharded activations: a layer gathers what attention and experts read, scatters what they write, and sums one square for each of four norms.
constexpr Cost eight = decode_step<grok1::Grok1Config, Grid<1, 8>>(1, 100);
static_assert(eight.collectives == layers * (2 + 2 + 4) + 2);  // the final norm, the logits
static_assert(eight.bytes ==
              layers * (4 * gathered(emb) + 4 * all_reduced(1)) + all_reduced(1) + all_reduced(vocabulary));

// Whole activations: one all-reduce for attention and one for the experts. The same bytes but for the norms, in a quarter of the calls.
constexpr Cost whole = decode_step<Unsharded, Grid<1, 8>>(1, 100);
static_assert(whole.collectives == layers * 2 + 2);  // the embeddings, the logits
static_assert(whole.bytes == layers * 2 * all_reduced(emb) + gathered(emb) + all_reduced(vocabulary));
static_assert(eight.flops == whole.flops);

// Weights sharded over `data` as well: activations move to them and back, for two rows. (Which the bill prefers to gathering
// the weights: strategies_test.cpp.)
constexpr Cost sixteen = decode_step<grok1::Grok1Config, Grid<2, 8>>(2, 100);
static_assert(sixteen.collectives == layers * 23 + 5);
static_assert(sixteen.flops == eight.flops);  // a device works on both rows with half of the weights

// Memory of a device: int8 weights with their bf16 scales, a bf16 embedding, f32 norms and routers; and the caches.
constexpr index_t held = [] {
  const grok1::LanguageModel<grok1::Grok1Config, Grid<1, 8>, Dry> model;
  return nn::parameter_bytes(model);
}();
constexpr index_t q = 6144 / 8, kv = 1024 / 8, ffn = 32768 / 8, expert_count = 8, context = 8192;
constexpr index_t attention_bytes = emb * (2 * q + 2 * kv) + 2 * (q + 2 * kv + emb),
                  expert_bytes = 3 * emb * ffn + 2 * (2 * ffn + emb);
static_assert(held == layers * (attention_bytes + expert_count * expert_bytes + 4 * emb * expert_count + 4 * 4 * emb) +
                          4 * emb + 2 * vocabulary * emb / 8);
static_assert(eight.cache_bytes == layers * 2 * context * 128 * 2);

// Time, by data sheets: on eight H100 a token takes less than 10 ms, and a third of it is reading weights.
constexpr Prediction token = predict(eight, h100x8, mesh_value<Grid<1, 8>>, {.data_axes = 1});
static_assert(token.total() < 10e-3 && 3 * token.compute < 1.1 * token.total() && token.data == 0);

}  // namespace

TEST_CASE("a decode step of Grok-1 is a sixth of a teraflop, for every device of a mesh its share") {
  const auto parameters_read =
      static_cast<double>(one.flops) / 2;  // 84 billion of 314: two experts of eight, attention, the head
  CHECK(parameters_read == doctest::Approx(84e9).epsilon(0.01));
  CHECK(static_cast<double>(one.flops) / static_cast<double>(eight.flops) ==
        doctest::Approx(8).epsilon(0.001));  // but for the routers
}
