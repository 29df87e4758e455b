// A model that exists nowhere: attention beside four experts, of which each token sees one, with squared ReLU.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <tess/nn/tensor_parallel.hpp>

// [quote:model]
namespace my {

using namespace tess;
namespace tp = nn::tensor_parallel;

struct data;
struct model;

template <AnyMesh M, class D>
struct MoE {
  static constexpr index_t vocabulary = 512, width = 64, layers = 2, heads = 8, head_width = 16, experts = 4, ffn = 128;
  using At = tp::Place<M, D, bf16, data, model, None>;

  /// x + attention(norm(x)) + experts(norm(x)): both sums over `model` are pending, so one all-reduce finishes them.
  struct Layer {
    template <index_t N>
    using Projection = tp::Column<At, width, N>;
    using Norm = tp::Norm<At, width>;
    using Attention = nn::MultiHeadAttention<nn::Heads<heads, heads, head_width>, Projection<heads * head_width>,
                                             Projection<heads * head_width>, Projection<heads * head_width>,
                                             tp::Row<At, heads * head_width, width>>;
    using Experts = nn::FeedForward<tp::ExpertColumn<At, experts, width, ffn>, tp::ExpertRow<At, experts, ffn, width>,
                                    nn::SquaredRelu>;
    Norm norm{};
    Attention attention{.options = {.scale = 0.25f}};
    nn::MoELayer<nn::Router<tp::RouterWeight<At, width, experts>>, Experts> moe{.router = {.selected = 1}};

    template <class X, class Cache>
    constexpr X operator()(D& dev, const X& x, Cache& cache, Segments rows) const {
      const auto normed = norm(dev, x);
      return add(dev, x,
                 reshard<typename X::spec>(dev, add(dev, attention(dev, normed, cache, rows), moe(dev, normed))));
    }
    template <class F>
    constexpr void parameters(const nn::Scope& scope, F&& f) {
      norm.parameters(scope / "norm", f), attention.parameters(scope / "attention", f),
          moe.parameters(scope / "moe", f);
    }
  };
  using Model = tp::LM<At, vocabulary, width, layers, Layer, tp::Cache<At, heads, head_width>>;
};

}  // namespace my
// [/quote]
