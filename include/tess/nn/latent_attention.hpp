// LatentAttention: heads that share one small latent a token, which is all that is cached; prefill and decode alike.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../ops/attention.hpp"
#include "../ops/concatenate.hpp"
#include "../ops/reshape.hpp"
#include "../ops/slice.hpp"
#include "extent_arithmetic.hpp"
#include "head_linear.hpp"
#include "low_rank.hpp"
#include "rotary_embedding.hpp"

namespace tess::nn {

/// What a layer remembers of the tokens it has seen: [S, C, 1, latent + rope], the normalised latent and behind it the
/// rotated key that all heads share; bf16, or f32 where nothing may be rounded.
template <AnyTensor C>
struct LatentCache {
  using value_type = typename C::value_type;
  using tensor = C;
  C latents{};
};

/// x [B, T, E] P<b, None, *> -> f32 [B, T, E] P<b', None, n, Partial<k>>, where w_o is P<k, n>: the caller finishes the
/// sum into the spec it wants. A token leaves a latent c = norm(x · down) and one rotated key r for all heads; head h
/// has the key [c · key_up[h]ᵀ | r] and the value c · value_up[h], so that
///   q_nope · (c key_up[h]ᵀ) = (q_nope key_up[h]) · c   and   Σ p (c value_up[h]) = (Σ p c) value_up[h]
/// move both matrices to the side of the query ("absorbed"): attention runs over the latents themselves, with one key
/// head.
/// Weights: query a Linear [E, H·(nope + rope)] P<e, h> or LowRank of such columns, latent_down [E, latent + rope] P<e,
/// None>, key_up [H, nope, latent] and value_up [H, latent, v] P<h>, output [H·v, E] P<h, n>; all sizes are those of
/// the weights.
/// The cache is P<b, None, None, None>, whole on every device of the heads.
/// What it saves: a cached token takes latent + rope numbers, not H·(nope + rope + v) (DeepSeek-V3: 576, not 40960),
/// and no key or value of a head is ever written out. What it costs: where a query meets a key, a head multiplies and
/// adds 2·latent + rope times, not nope + rope + v (1088, not 320). Decoding wins, since reading the cache is what
/// takes its time; the attention of a long prefill takes 3.4 times the FLOPs.
/// Bytes: as MultiHeadAttention; none on a mesh that shards only heads. Options: the scale is for the model to set,
/// 1/√(nope + rope), times the square of YaRN's magnitude where there is one. One rounding, into the cache's type.
/// Source: DeepSeek-V2, arXiv 2405.04434, section 2.1 and appendix C; DeepSeek-V3, arXiv 2412.19437.
template <class Query, class LatentDown, class LatentNorm, class KeyUp, class ValueUp, class Output,
          class Rotary = RotaryEmbedding<>, class Strategy = or_stationary<typename Query::strategy>>
struct LatentAttention {
  using strategy = Strategy;
  Query query{};
  LatentDown latent_down{};
  LatentNorm latent_norm{};
  KeyUp key_up{};
  ValueUp value_up{};
  Output output{};
  Rotary rotary{};
  AttentionOptions options{};

  template <class D, class X, class Cache, class How = Strategy>
  constexpr auto operator()(D& dev, const X& x, Cache& cache, Segments rows, How how = {}) const {
    const auto in = reshard<typename How::template input_spec<X, decltype(latent_down.weight)>>(dev, x);  // [B, T, E]
    const auto line = remembered(dev, project<finished_spec<X, LatentDown>>(dev, latent_down, in, how), rows);
    append_to_cache(dev, cache.latents, cast<typename Cache::value_type>(dev, line), rows);  // [B, T, 1, latent + rope]
    const auto q = project<finished_spec<X, Query>>(dev, query, in, how);                    // [B, T, H·(nope + rope)]
    const auto mixed = attention<f32>(dev, asked(dev, q, rows), cache.latents,
                                      KeyColumns<latent>{key_up.weight.extent(2)}, rows, options);  // [B, T, H, latent]
    return output(dev, merge<2>(value_up(dev, mixed)), how);  // [B, T, H·v] -> [B, T, E]
  }

  /// An empty cache for `slots` sequences of up to `capacity` tokens.
  template <class Cache, class D>
  constexpr Cache empty_cache(D& dev, index_t slots, index_t capacity) const {
    using C = typename Cache::tensor;
    const index_t width = latent_down.weight.extent(1);
    return {make_state<C>(dev, Extents<typename C::shape>::from({slots, capacity, 1, width}))};
  }

  template <class F>
  constexpr void parameters(const Scope& scope, F&& f) {
    if constexpr (requires { query.down; }) {
      query.down.parameters(scope / "query_down", f);
      query.norm.parameters(scope / "query_norm", f);
      query.up.parameters(scope / "query_up", f);
    } else {
      query.parameters(scope / "query", f);
    }
    latent_down.parameters(scope / "latent_down", f);
    latent_norm.parameters(scope / "latent_norm", f);
    key_up.parameters(scope / "key_up", f);
    value_up.parameters(scope / "value_up", f);
    output.parameters(scope / "output", f);
  }

 private:
  template <class W>
  static constexpr index_t static_extent(int d) {
    return tess::detail::static_extent<typename W::shape>(d);
  }
  static constexpr index_t heads = static_extent<decltype(KeyUp::weight)>(0);
  static constexpr index_t nope = static_extent<decltype(KeyUp::weight)>(1);
  static constexpr index_t latent = static_extent<decltype(KeyUp::weight)>(2);
  static constexpr index_t rope = minus(static_extent<decltype(LatentDown::weight)>(1), latent);

  template <class X, class L>
  using finished_spec = projected_spec<X, typename detail::last_weight<L>::type>;

  /// -> [B, T, H, latent + rope]: what the cached lines are asked.
  template <class D, class Q>
  constexpr auto asked(D& dev, const Q& q, Segments rows) const {
    const index_t n = key_up.weight.extent(0);
    const auto [content, place] =
        split_at<3, nope, rope>(dev, split<2, heads, plus(nope, rope)>(q, n), key_up.weight.extent(1));
    return concatenate<3>(dev, key_up(dev, content), rotary(dev, place, rows));
  }
  /// [B, T, latent + rope] -> [B, T, 1, latent + rope]: the latent normalised, the key rotated.
  template <class D, class Down>
  constexpr auto remembered(D& dev, const Down& down, Segments rows) const {
    const auto [content, place] = split_at<2, latent, rope>(dev, down, key_up.weight.extent(2));
    return concatenate<3>(dev, expand_dims<2>(latent_norm(dev, content)), rotary(dev, expand_dims<2>(place), rows));
  }
};

}  // namespace tess::nn
