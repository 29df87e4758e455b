// DecoderLayer: attention, then a feed-forward block, each behind a norm and beside the residual stream.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../ops/elementwise.hpp"
#include "../ops/reshard.hpp"
#include "bills_alike.hpp"
#include "parameters.hpp"

namespace tess::nn {

/// h = x + attention(norm(x)); y = h + feed_forward(norm(h)); x, h and y are [B, T, H] of one type. Pending sums are
/// finished into x's spec, once a block. Source: Xiong et al., arXiv 2002.04745 (pre-norm).
template <class Norm, class Attention, class FeedForward>
struct DecoderLayer {
  Norm attention_norm{};
  Attention attention{};
  Norm feed_forward_norm{};
  FeedForward feed_forward{};

  template <class D, class X, class Cache, class Rows>
  constexpr X operator()(D& dev, const X& x, Cache& cache, const Rows& rows) const {
    return feed(dev, attend(dev, x, cache, rows));
  }
  /// The first half: x + attention(norm(x)).
  template <class D, class X, class Cache, class Rows>
  constexpr X attend(D& dev, const X& x, Cache& cache, const Rows& rows) const {
    return add(dev, x, reshard<typename X::spec>(dev, attention(dev, attention_norm(dev, x), cache, rows)));
  }
  /// The second half: h + feed_forward(norm(h)).
  template <class D, class X>
  constexpr X feed(D& dev, const X& h) const {
    return add(dev, h, reshard<typename X::spec>(dev, feed_forward(dev, feed_forward_norm(dev, h))));
  }

  constexpr bool bills_as(const DecoderLayer& o) const {
    return bills_alike(attention, o.attention) && bills_alike(feed_forward, o.feed_forward);
  }

  template <class F>
  constexpr void parameters(const Scope& scope, F&& f) {
    attention_norm.parameters(scope / "attention_norm", f);
    attention.parameters(scope / "attention", f);
    feed_forward_norm.parameters(scope / "feed_forward_norm", f);
    feed_forward.parameters(scope / "feed_forward", f);
  }
};

}  // namespace tess::nn
