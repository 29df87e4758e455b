// Row-parallel int8 weights with 8 scale groups on 1 to 16 shards: groups in a shard, and shards inside a group.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <utility>

#include "support/grok1_model.hpp"

using namespace tess::test;
using namespace tess;

namespace {

struct model;

/// A leaf of a golden checkpoint, and the same numbers in float64.
struct Weight {
  io::Leaf leaf;
  Values exact;  // [..., K, N]
};
Weight read(const std::string& folder, const LanguageModelConfig& config, const std::string& path) {
  std::vector<std::string> paths;
  for (const grok1::Leaf& leaf : grok1::leaves(config)) paths.push_back(leaf.path);
  Weight w{io::PickleCheckpoint(grok_folder(folder), paths).read(path), {}};
  REQUIRE(w.leaf.groups() == 8);
  w.exact = io::values_as<f64>(w.leaf.weight);
  const Values scales = io::values_as<f64>(*w.leaf.scales);
  const auto n = static_cast<std::size_t>(w.leaf.weight.shape.back()), rows = w.exact.size() / scales.size();
  for (std::size_t i = 0; i < w.exact.size(); ++i) w.exact[i] *= scales[i / n / rows * n + i % n];
  return w;
}

template <class X>
void fill(const X& x) {
  for (index_t r = 0; r < X::mesh::size; ++r) {
    const Range own = device_slice<typename X::spec, typename X::mesh>(x.extents(), r)[2];
    for (index_t t = 0; t < x.extent(1); ++t)
      for (index_t k = own.begin; k < own.end; ++k)
        x.storage().data(r)[t * own.size() + k - own.begin] = static_cast<f32>((k * 37 + t * 101) % 64 - 32) / 16;
  }
}

/// x [1, T, K] · w [K, N] over Shards devices, which hold K / Shards rows each, against the product in float64.
template <index_t K, index_t N, index_t Shards>
void check_linear(const Weight& w) {
  using M = Mesh<Axis<model, Shards>>;
  constexpr index_t T = 3;
  Host dev;
  nn::Linear<ShardedTensor<packed<q8<8>>, Shape<K, N>, M, P<model, None>, Host>> linear;
  io::load(dev, linear.weight, w.leaf, "w");
  const auto x = make<ShardedTensor<f32, Shape<1, T, K>, M, P<None, None, model>, Host>>(dev, {});
  fill(x);
  const Values y = whole(reduce(dev, linear(dev, x))), in = whole(x);
  Values exact(y.size());
  for (std::size_t t = 0; t < T; ++t)
    for (std::size_t k = 0; k < K; ++k)
      for (std::size_t n = 0; n < N; ++n) exact[t * N + n] += in[t * K + k] * w.exact[k * N + n];
  const f64 error = relative_error(y, exact);
  CHECK_MESSAGE(error < 1e-4, K << " rows on " << Shards
                                << " shards: " << error);  // two int8 terms: 2^-15 of a row's largest element
}

template <index_t K, index_t N, index_t... Shards>
void check_all(const std::string& folder, const LanguageModelConfig& config, const std::string& path,
               std::integer_sequence<index_t, Shards...>) {
  const Weight w = read(folder, config, path);
  REQUIRE(w.leaf.weight.shape == std::vector<index_t>{K, N});
  (check_linear<K, N, Shards>(w), ...);
}

using AllMeshes = std::integer_sequence<index_t, 1, 2, 4, 8, 16>;

}  // namespace

TEST_CASE("attention's output: 256 rows in groups of 32, on 16 shards of 16") {
  check_all<256, 32>("moe12", Moe12::value, "transformer/decoder_layer_3/multi_head_attention/linear/w", AllMeshes{});
}
TEST_CASE("768 rows in groups of 96, on 16 shards of 48") {
  check_all<768, 96>("moe2", Moe2::value, "transformer/decoder_layer_1/multi_head_attention/linear/w", AllMeshes{});
}
TEST_CASE("the dense block: 344 rows in groups of 43") {
  check_all<344, 64>("dense", Dense::value, "transformer/decoder_layer_0/linear_1/w",
                     std::integer_sequence<index_t, 1, 2, 4, 8>{});
}

namespace {

/// The experts of one layer over Shards devices: [1, T, D] -> [1, T, D].
template <index_t Shards>
Values experts_on() {
  using M = Mesh<Axis<grok1::data, 1>, Axis<grok1::model, Shards>>;
  using T = grok1::Types<Moe12, M, Host>;
  Host dev;
  typename T::MoELayer moe;
  moe.expert_count = 8;
  const io::PickleCheckpoint checkpoint(grok_folder("moe12"), grok1::leaf_paths(Moe12::value));
  const nn::Scope layer("transformer/decoder_layer_5");
  const auto read = [&](const nn::Scope& scope, auto& tensor) {
    io::load(dev, tensor, checkpoint.read(scope.path()), scope.path());
  };
  grok1::feed_forward_parameters(moe.experts, layer / "moe", read);
  moe.router.parameters(layer / "router", read);
  const auto x = make<ShardedTensor<f32, Shape<1, 12, 32>, M, P<None, None, None>, Host>>(dev, {});
  fill(x);
  return whole(reduce(dev, moe(dev, x)));
}

}  // namespace

TEST_CASE("the experts: 176 rows in groups of 22, on 16 shards of 11") {
  const Values one = experts_on<1>();
  CHECK(relative_error(experts_on<2>(), one) < 1e-4);
  CHECK(relative_error(experts_on<4>(), one) < 1e-4);
  CHECK(relative_error(experts_on<8>(), one) < 1e-4);
  CHECK(relative_error(experts_on<16>(), one) < 1e-4);
}
