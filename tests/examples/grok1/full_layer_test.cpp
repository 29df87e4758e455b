// One decoder layer of Grok-1 at full size, 4.9 GB of int8, unsharded and sharded over eight devices.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <numeric>

#include "support/grok1_model.hpp"

using namespace tess::test;
using tess::index_t, tess::f32;

namespace {

struct OneLayer {
  static constexpr LanguageModelConfig value = [] {
    LanguageModelConfig c = grok1::grok_1;
    c.model.num_layers = 1;
    return c;
  }();
};

struct Outcome {
  Values prefill, decode, keys;
};

/// Four tokens, then one more, through the layer with weights that depend on the seed alone. The layer is gone afterwards.
template <index_t Model>
Outcome run() {
  using M = tess::Mesh<tess::Axis<grok1::data, 1>, tess::Axis<grok1::model, Model>>;
  using T = grok1::Types<OneLayer, M, tess::Host>;
  using X = tess::ShardedTensor<f32, tess::Shape<tess::dyn, tess::dyn, T::E>, M, typename T::Stream, tess::Host>;
  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };

  tess::Host dev;
  grok1::DecoderLayer<OneLayer, M, tess::Host> layer;
  layer.attention.options = {static_cast<f32>(T::c.attn_output_multiplier), static_cast<f32>(T::c.max_attn_value)};
  layer.feed_forward.expert_count = T::c.num_experts;
  std::vector<grok1::Leaf> leaves;
  for (const grok1::Leaf& leaf : grok1::leaves(OneLayer::value))
    if (leaf.path.starts_with("transformer/")) leaves.push_back(leaf);
  grok1::detail::DummyLeaves dummy(1, leaves);
  std::map<std::string, tess::io::Leaf> by_path;
  for (const grok1::Leaf& leaf : leaves) by_path.emplace(leaf.path, dummy(leaf));
  layer.parameters(tess::nn::Scope("transformer/decoder_layer_0"), [&](const tess::nn::Scope& scope, auto& tensor) {
    tess::io::load(dev, tensor, by_path.at(scope.path()), scope.path());
  });
  const double loaded = seconds();

  typename T::Cache cache;
  using Cache = decltype(cache.keys);
  const auto extents = tess::Extents<typename Cache::shape>::from({1, 8, T::c.num_kv_heads, T::c.key_size});
  cache.keys = tess::make_state<Cache>(dev, extents), cache.values = tess::make_state<Cache>(dev, extents);
  const auto step = [&](index_t from, index_t count) {
    auto x = tess::make<X>(dev, tess::Extents<typename X::shape>::from({1, count, T::E}));
    for (index_t r = 0; r < M::size; ++r) {
      const auto slice = tess::device_slice<typename X::spec, M>(x.extents(), r)[2];
      for (index_t t = 0; t < count; ++t)
        for (index_t i = slice.begin; i < slice.end; ++i)
          x.storage().data(r)[t * slice.size() + i - slice.begin] =
              std::sin(static_cast<f32>((from + t) * 7919 + i * i % 1009));
    }
    const tess::Segment rows[] = {{0, from, count}};
    return whole(layer(dev, x, cache, rows));
  };
  Outcome o{step(0, 4), step(4, 1), {}};
  o.keys = whole(cache.keys);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("full-size layer on 1x%d: loaded in %.1f s, five tokens in %.2f s, peak memory %.2f GB\n",
              static_cast<int>(Model), loaded, seconds() - loaded, static_cast<double>(usage.ru_maxrss) / 1e6);
  return o;
}

}  // namespace

TEST_CASE("a full-size decoder layer, sharded over 8 devices, equals itself unsharded" *
          doctest::skip(!std::getenv("TESS_LARGE"))) {
  const Outcome one = run<1>(), eight = run<8>();
  const double errors[] = {relative_error(eight.prefill, one.prefill), relative_error(eight.decode, one.decode),
                           relative_error(eight.keys, one.keys)};
  std::printf("full-size layer, distance of 1x8 from 1x1: prefill %.1e, decode %.1e, keys %.1e\n", errors[0], errors[1],
              errors[2]);
  // Activations are split into two int8 terms by the largest element that a shard sees (2^-15 of it), then summed in another order.
  for (const double error : errors) CHECK(error < 1e-3);
  for (const double v : one.decode) REQUIRE(std::isfinite(v));
}

TEST_CASE("what a full-size layer needs is known: set TESS_LARGE=1 to run it (5 GB, a minute)") {
  index_t bytes = 0;
  for (const grok1::Leaf& leaf : grok1::leaves(OneLayer::value))
    if (leaf.quantized())
      bytes += std::accumulate(leaf.shape.begin(), leaf.shape.end(), index_t{1}, std::multiplies<>());
  CHECK(bytes == 4'919'918'592);
}
