// Embedding: a lookup on the way in, the product with the same table on the way out.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/nn/embedding.hpp>

#include "support/tensors.hpp"

using namespace support;

namespace {

struct data;
struct model;
template <index_t D, index_t N>
using Grid = Mesh<Axis<data, D>, Axis<model, N>>;
constexpr index_t V = 24, width = 32, B = 2, T = 3;
using IdShape = Shape<dyn, dyn>;

template <class M, class D, class Spec>
using Layer = nn::Embedding<ShardedTensor<table<bf16>, Shape<V, width>, M, Spec, D>>;

template <class D, class L, class Ids>
constexpr auto in_and_out(D& dev, const L& layer, const Ids& ids) {
  return layer.template attend<P<data>>(dev, reduce(dev, layer(dev, ids)));
}

template <class M, class Spec, class IdSpec>
void embeds() {
  CAPTURE(M::size);
  Host dev(2);
  const auto values = random(1, V * width, 1.2345);
  Layer<M, Host, Spec> layer;
  load(dev, layer.table, {V, width}, values);
  const std::vector<i32> ids = {0, 23, 5, 5, 11, 12};
  const auto id = tensor<ShardedTensor<i32, IdShape, M, IdSpec, Host>>(dev, Extents<IdShape>(B, T), ids);

  const auto logits = in_and_out(dev, layer, id);
  std::vector<f64> truth;
  for (const i32 i : ids)
    for (index_t v = 0; v < V; ++v) {
      f64 sum = 0;
      for (index_t d = 0; d < width; ++d)
        sum += static_cast<f64>(values[static_cast<std::size_t>(i * width + d)]) *
               static_cast<f64>(f32(bf16(values[static_cast<std::size_t>(v * width + d)])));
      truth.push_back(sum);
    }
  CHECK(std::is_same_v<typename decltype(logits)::spec, P<data, None, None>>);
  CHECK(error(elements(logits), truth) < 1e-5);

  Dry dry;
  in_and_out(dry, Layer<M, Dry, Spec>{}, make<ShardedTensor<i32, IdShape, M, IdSpec>>(dry, Extents<IdShape>(B, T)));
  check_traffic(dev, dry.cost);
}

}  // namespace

TEST_CASE("in and out again: products of the rows with every row") {
  embeds<Grid<1, 1>, P<>, P<>>();
  embeds<Grid<2, 2>, P<None, Axes<data, model>>, P<>>();  // Grok-1's way: columns over the whole mesh
  embeds<Grid<2, 2>, P<model>, P<data>>();                // rows over one axis: a pending sum
}

TEST_CASE("the name of the parameter") {
  Layer<Grid<1, 1>, Host, P<>> layer;
  std::vector<std::string> paths;
  layer.parameters(nn::Scope("in_out_embed"), [&](const nn::Scope& s, auto&) { paths.push_back(s.path()); });
  CHECK(paths == std::vector<std::string>{"in_out_embed/embeddings"});
}
