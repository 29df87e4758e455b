// tensor_parallel: the parameters of a decoder by their role, and how each role lies on a mesh.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "causal_lm.hpp"
#include "decoder_layer.hpp"
#include "embedding.hpp"
#include "extent_arithmetic.hpp"
#include "feed_forward.hpp"
#include "key_value_axis.hpp"
#include "latent_attention.hpp"
#include "moe_layer.hpp"
#include "multi_head_attention.hpp"
#include "rms_norm.hpp"

// The usual way to lie: the batch over `Batch`; columns of the first and rows of the second matrix of a pair over `Model`,
// so that each block ends in one pending sum; whole experts over `Expert`; the embedding by columns, the head by its
// vocabulary; everything else on every device. A model that wants it otherwise names its own specs.
// Source: Shoeybi et al., arXiv 1909.08053 (columns, then rows); Lepikhin et al., arXiv 2006.16668 (experts).
namespace tess::nn::tensor_parallel {

/// Where a model lives: mesh, device, element type of the matrices, and the axes (or Axes<...>) for batch, model and experts.
template <AnyMesh M, class D, class Weight, class Batch, class Model, class Expert>
struct Place {
  using mesh = M;
  using device = D;
  using weight = Weight;
  using batch = Batch;
  using model = Model;
  using expert = Expert;  // None: all experts on every device
};

using nn::plus;
using nn::times;

template <class At, class T, class S, class Spec>
using Param = ShardedTensor<T, S, typename At::mesh, Spec, typename At::device>;

/// Activations f32 [B, T, H] between layers.
template <class At>
using Stream = P<typename At::batch, None, None>;

// Biases: ColumnBias<At, N> as the last argument of Column, Bias<At, N> of Row and Whole.
template <class At, index_t N>
using ColumnBias = Param<At, f32, Shape<N>, P<typename At::model>>;
template <class At, index_t N>
using Bias = Param<At, f32, Shape<N>, P<None>>;

template <class At, index_t K, index_t N, class B = NoBias, class Over = typename At::model>
using Column = Linear<Param<At, packed<typename At::weight>, Shape<K, N>, P<None, Over>>, B>;
template <class At, index_t K, index_t N, class B = NoBias>
using Row = Linear<Param<At, packed<typename At::weight>, Shape<K, N>, P<typename At::model, None>>, B>;
template <class At, index_t K, index_t N, class B = NoBias>
using Whole = Linear<Param<At, packed<typename At::weight>, Shape<K, N>, P<None, None>>, B>;

// Biases [E, N] and matrices [E, K, N] of experts.
template <class At, index_t E, index_t N>
using ExpertColumnBias = Param<At, f32, Shape<E, N>, P<typename At::expert, typename At::model>>;
template <class At, index_t E, index_t N>
using ExpertBias = Param<At, f32, Shape<E, N>, P<typename At::expert, None>>;
template <class At, index_t E, index_t K, index_t N, class B = NoBias>
using ExpertColumn =
    Linear<Param<At, packed<typename At::weight>, Shape<E, K, N>, P<typename At::expert, None, typename At::model>>, B>;
template <class At, index_t E, index_t K, index_t N, class B = NoBias>
using ExpertRow =
    Linear<Param<At, packed<typename At::weight>, Shape<E, K, N>, P<typename At::expert, typename At::model, None>>, B>;

/// act(x·gate) ⊙ (x·up), then down: of every token, or of the rows of each of E experts.
template <class At, index_t K, index_t F, class Activation = Silu>
using Dense = GatedFeedForward<Column<At, K, F>, Column<At, K, F>, Row<At, F, K>, Activation>;
template <class At, index_t E, index_t K, index_t F, class Activation = Silu>
using Experts =
    GatedFeedForward<ExpertColumn<At, E, K, F>, ExpertColumn<At, E, K, F>, ExpertRow<At, E, F, K>, Activation>;
template <class At, index_t E, index_t K, index_t F, class Activation = Silu>
using BiasedExperts = GatedFeedForward<ExpertColumn<At, E, K, F, ExpertColumnBias<At, E, F>>,
                                       ExpertColumn<At, E, K, F, ExpertColumnBias<At, E, F>>,
                                       ExpertRow<At, E, F, K, ExpertBias<At, E, K>>, Activation>;

template <class At, index_t K, index_t E>
using RouterWeight = Param<At, packed<f32>, Shape<K, E>, P<None, None>>;
template <class At, index_t N>
using Norm = RMSNorm<Param<At, f32, Shape<N>, P<None>>>;

/// Where key/value heads lie: over the model axis, or over the part of it that divides them.
template <class At, index_t Heads>
using KeyValueAxis = key_value_axis<typename At::mesh, typename At::model, Heads>;
/// [K, heads · width] for keys or values.
template <class At, index_t K, index_t Heads, index_t Width, class B = NoBias>
using KeyValueColumn = Column<At, K, times(Heads, Width), B, KeyValueAxis<At, Heads>>;
/// Biases [heads · width] of keys or values.
template <class At, index_t Heads, index_t Width>
using KeyValueBias = Param<At, f32, Shape<times(Heads, Width)>, P<KeyValueAxis<At, Heads>>>;
/// Keys and values [S, C, heads, width] of T.
template <class At, index_t Heads, index_t Width, class T = f32>
using Cache =
    KVCache<Param<At, T, Shape<dyn, dyn, Heads, Width>, P<typename At::batch, None, KeyValueAxis<At, Heads>, None>>>;
/// HQ query heads and HK key/value heads of `Width` on a stream [B, T, H], without biases.
template <class At, index_t H, index_t HQ, index_t HK, index_t Width, class HeadNorm = NoNorm>
using Attention = MultiHeadAttention<Heads<HQ, HK, Width>, Column<At, H, times(HQ, Width)>,
                                     KeyValueColumn<At, H, HK, Width>, KeyValueColumn<At, H, HK, Width>,
                                     Row<At, times(HQ, Width), H>, RotaryEmbedding<>, or_stationary<InPlace>, HeadNorm>;
/// The same with biases of queries, keys and values, and perhaps of the output; with sinks, ColumnBias<At, HQ>, or none.
template <class At, index_t H, index_t HQ, index_t HK, index_t Width, class OutputBias = NoBias, class Sinks = NoSinks>
using BiasedAttention =
    MultiHeadAttention<Heads<HQ, HK, Width>, Column<At, H, times(HQ, Width), ColumnBias<At, times(HQ, Width)>>,
                       KeyValueColumn<At, H, HK, Width, KeyValueBias<At, HK, Width>>,
                       KeyValueColumn<At, H, HK, Width, KeyValueBias<At, HK, Width>>,
                       Row<At, times(HQ, Width), H, OutputBias>, RotaryEmbedding<>, or_stationary<InPlace>, NoNorm,
                       Sinks>;

template <class At, index_t V, index_t H>
using TokenEmbedding = Embedding<Param<At, typename At::weight, Shape<V, H>, P<None, typename At::model>>>;

/// Latent attention: a matrix [K, N] a head, columns by way of R normalised ones, and the latents [S, C, 1, width], whole
/// on every device of the heads.
template <class At, index_t H, index_t K, index_t N>
using EachHead = HeadLinear<Param<At, packed<typename At::weight>, Shape<H, K, N>, P<typename At::model, None, None>>>;
template <class At, index_t K, index_t R, index_t N>
using LowRankColumn = LowRank<Whole<At, K, R>, Norm<At, R>, Column<At, R, N>>;
template <class At, index_t Width, class T = f32>
using Latents = LatentCache<Param<At, T, Shape<dyn, dyn, 1, Width>, P<typename At::batch, None, None, None>>>;

/// `N` such layers between an embedding and an output head of their own.
template <class At, index_t V, index_t H, index_t N, class Layer, class LayerCache>
using LM = CausalLM<TokenEmbedding<At, V, H>, Repeat<N, Layer>, Norm<At, H>, Column<At, H, V>, LayerCache, Stream<At>>;

}  // namespace tess::nn::tensor_parallel
