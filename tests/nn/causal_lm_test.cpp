// CausalLM, DecoderLayer and the roles of tensor_parallel: one decoder on several meshes, prefilled and decoded.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/io/fill.hpp>
#include <tess/nn/decoder_layer.hpp>
#include <tess/nn/tensor_parallel.hpp>

#include "support/tensors.hpp"

using namespace support;
namespace tp = nn::tensor_parallel;

namespace {

struct data;
struct expert;
struct model;
template <index_t D, index_t E, index_t M>
using MeshOf = Mesh<Axis<data, D>, Axis<expert, E>, Axis<model, M>>;

constexpr index_t vocabulary = 64, hidden = 32, heads = 4, width = 8, experts = 4, ffn = 24, layers = 2;

template <AnyMesh M, class D = Host, index_t Layers = layers>
struct Types {
  using At = tp::Place<M, D, f32, Axes<data, expert>, model, expert>;
  using Projection = tp::Column<At, hidden, heads * width>;
  using Attention = nn::MultiHeadAttention<nn::Heads<heads, heads, width>, Projection, Projection, Projection,
                                           tp::Row<At, heads * width, hidden>>;
  using MoE = nn::MoELayer<nn::Router<tp::RouterWeight<At, hidden, experts>>, tp::Experts<At, experts, hidden, ffn>>;
  using Shared = tp::Dense<At, hidden, ffn>;
  using FeedForward = nn::Either<tp::Dense<At, hidden, ffn>, nn::Parallel<MoE, Shared>>;
  using Layer = nn::DecoderLayer<tp::Norm<At, hidden>, Attention, FeedForward>;
  using Model = tp::LM<At, vocabulary, hidden, Layers, Layer, tp::Cache<At, heads, width>>;
};

/// Layer 0 dense, layer 1 sparse; weights that depend on their path and indices alone.
template <class Model>
void make_up(Host& dev, Model& lm) {
  lm.set_layers(layers, 1e-6);
  lm.layers.blocks[1].feed_forward.takes_second = true;
  index_t seed = 0;
  lm.parameters([&](const nn::Scope& path, auto& w) {
    const bool norm = path.text().ends_with("scale");
    io::fill(dev, w, [norm, s = ++seed](auto... at) {
      index_t i = 0;
      ((i = i * 1031 + at), ...);
      return (norm ? 1.0 : 0.0) + 0.25 * noise(s, i);
    });
  });
}

const std::vector<i32> ids = [] {
  std::vector<i32> v;
  for (index_t i = 0; i < 4 * 6; ++i) v.push_back(static_cast<i32>((i * 29 + i * i) % vocabulary));
  return v;
}();
constexpr index_t batch = 4, tokens = 6;

template <class Model>
auto all_logits(Host& dev, const Model& lm) {
  auto memory = lm.init_memory(dev, batch, tokens);
  std::vector<Segment> rows;
  for (index_t b = 0; b < batch; ++b) rows.push_back({b, 0, tokens});
  const auto x = tensor<typename Model::Tokens>(dev, Extents<Shape<dyn, dyn>>{batch, tokens}, ids);
  return lm.template operator()<nn::Positions::all>(dev, x, memory, Segments(rows.data(), batch));
}

const std::vector<f32>& on_one_device() {
  static const std::vector<f32> logits = [] {
    Host dev(1);
    Types<MeshOf<1, 1, 1>>::Model lm;
    make_up(dev, lm);
    return elements(all_logits(dev, lm));
  }();
  return logits;
}

template <class M>
constexpr Cost bill = [] {
  Dry dev;
  typename Types<M, Dry>::Model lm;
  lm.layers.blocks[1].feed_forward.takes_second = true;
  auto memory = lm.init_memory(dev, batch, tokens);
  const Segment rows[] = {{0, 0, tokens}, {1, 0, tokens}, {2, 0, tokens}, {3, 0, tokens}};
  using X = typename Types<M, Dry>::Model::Tokens;
  (void)lm.template operator()<nn::Positions::all>(dev, make<X>(dev, Extents<Shape<dyn, dyn>>{batch, tokens}), memory,
                                                   Segments(rows));
  return dev.cost;
}();

template <class M>
void check_mesh() {
  Host dev(1);
  typename Types<M>::Model lm;
  make_up(dev, lm);
  dev.reset_traffic();
  const auto logits = all_logits(dev, lm);
  CHECK(error(elements(logits), on_one_device()) < 2e-6);
  CHECK(dev.traffic().collectives == bill<M>.collectives);
  if constexpr (M::template size_along<expert> == 1) CHECK(dev.traffic().most_bytes() == bill<M>.bytes);
  else CHECK(dev.traffic().most_bytes() <= bill<M>.bytes);  // routing decides how many tokens an expert sees
}

}  // namespace

TEST_CASE("a decoder gives the same logits on every mesh, for the bytes of its bill") {
  check_mesh<MeshOf<1, 1, 2>>();
  check_mesh<MeshOf<2, 1, 2>>();
  check_mesh<MeshOf<1, 2, 2>>();
}

TEST_CASE("a prompt at once, or token by token: the logits of the last token are the same") {
  Host dev(1);
  using Model = Types<MeshOf<1, 1, 2>>::Model;
  Model lm;
  make_up(dev, lm);
  const auto all = elements(all_logits(dev, lm));
  auto memory = lm.init_memory(dev, batch, tokens);
  for (index_t t = 0; t < tokens; ++t) {
    std::vector<i32> now;
    std::vector<Segment> rows;
    for (index_t b = 0; b < batch; ++b) {
      now.push_back(ids[static_cast<std::size_t>(b * tokens + t)]);
      rows.push_back({b, t, 1});
    }
    const auto x = tensor<Model::Tokens>(dev, Extents<Shape<dyn, dyn>>{batch, 1}, now);
    const auto last = elements(lm(dev, x, memory, Segments(rows.data(), batch)));
    std::vector<f32> expected;
    for (index_t b = 0; b < batch; ++b) {
      const auto at = all.begin() + (b * tokens + t) * vocabulary;
      expected.insert(expected.end(), at, at + vocabulary);
    }
    CHECK(error(last, expected) < 2e-6);
  }
}

TEST_CASE("the halves of a layer are the layer") {
  Host dev(1);
  using Model = Types<MeshOf<1, 1, 1>>::Model;
  Model lm;
  make_up(dev, lm);
  const auto& layer = lm.layers.blocks[1];
  const auto x = lm.embedded(dev, tensor<Model::Tokens>(dev, Extents<Shape<dyn, dyn>>{batch, tokens}, ids));
  std::vector<Segment> rows;
  for (index_t b = 0; b < batch; ++b) rows.push_back({b, 0, tokens});
  const Segments all(rows.data(), batch);
  auto memory = lm.init_memory(dev, batch, tokens), again = lm.init_memory(dev, batch, tokens);
  const auto whole = layer(dev, x, memory[1], all), halves = layer.feed(dev, layer.attend(dev, x, again[1], all));
  CHECK(elements(whole) == elements(halves));
}

TEST_CASE("parameters have the paths that name tables speak of, those of the layer that is used") {
  Host dev(1);
  Types<MeshOf<1, 1, 1>, Host, dyn>::Model lm;
  lm.set_layers(2, 1e-5);
  CHECK(lm.layers.blocks.size() == 2);
  CHECK(lm.layers.blocks[1].attention_norm.eps == 1e-5f);
  lm.layers.blocks[1].feed_forward.takes_second = true;
  std::vector<std::string> paths;
  lm.parameters([&](const nn::Scope& path, auto&) { paths.push_back(path.path()); });
  const std::vector<std::string> first = {"embed/embeddings",
                                          "layers_0/attention_norm/scale",
                                          "layers_0/attention/query/w",
                                          "layers_0/attention/key/w",
                                          "layers_0/attention/value/w",
                                          "layers_0/attention/output/w",
                                          "layers_0/feed_forward_norm/scale",
                                          "layers_0/feed_forward/gate/w",
                                          "layers_0/feed_forward/up/w",
                                          "layers_0/feed_forward/down/w",
                                          "layers_1/attention_norm/scale"};
  REQUIRE(paths.size() > first.size());
  CHECK(std::vector<std::string>(paths.begin(), paths.begin() + static_cast<std::ptrdiff_t>(first.size())) == first);
  const auto has = [&](const char* path) { return std::find(paths.begin(), paths.end(), path) != paths.end(); };
  CHECK(has("layers_1/feed_forward/0/router/w"));
  CHECK(has("layers_1/feed_forward/0/experts/down/w"));
  CHECK(has("layers_1/feed_forward/1/gate/w"));
  CHECK(paths[paths.size() - 2] == "norm/scale");
  CHECK(paths.back() == "head/w");
}
