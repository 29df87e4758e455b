// rms_norm over the last dimension; where that is sharded, one small sum crosses devices.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "elementwise.hpp"
#include "reshard.hpp"

namespace tess {

namespace detail {
template <class X>
struct sum_squares_spec {
  static constexpr SpecValue value = [] {
    SpecValue s = X::sharding;
    s.partial = s[s.rank - 1].mask();
    s[s.rank - 1] = {};
    return s;
  }();
};
template <class X>
struct row_vector_spec {
  static constexpr SpecValue value = [] {
    SpecValue s;
    s.rank = 1;
    s[0] = X::sharding[X::rank - 1];
    return s;
  }();
};
}  // namespace detail

/// x [..., D] f32 or bf16, scale [D] f32 -> Y [..., D] under x's spec; statistics in f32.
/// Where D is sharded the squares are summed over its axes: an all-reduce of one f32 a row. Refused on a pending sum.
/// Source: Zhang and Sennrich, arXiv 1910.07467; Grok-1's model.py, class RMSNorm (plain scale, not 1 + scale).
template <class Y, class D, AnyTensor X, AnyTensor Scale>
constexpr auto rms_norm(D& dev, const X& x, const Scale& scale, f32 eps) {
  static_assert(detail::map_fact<X, X>::ok);
  using R = with_type<X, Y>;
  if constexpr (X::sharding.partial) {
    return reduced_type<R>{};
  } else {
    using M = typename X::mesh;
    using Sums =
        ShardedTensor<f32, detail::with_last<typename X::shape, 1>, M, spec_type<M, detail::sum_squares_spec<X>>, D>;
    Sums partial = make<Sums>(dev, detail::extents_with_last<typename Sums::shape>(x.extents(), 1));
    TESS_VERB(dev, sum_squares, partial, x);
    const auto sums = reduce(dev, partial);
    const auto own_scale = reshard<spec_type<M, detail::row_vector_spec<X>>>(dev, scale);
    if (scale.extent(0) != x.extent(X::rank - 1))
      fail("[rms_norm] the scale has extent ", scale.extent(0), ", the rows ", x.extent(X::rank - 1));
    R y = make<R>(dev, x.extents());
    TESS_VERB(dev, rms_scale, y, x, sums, own_scale, eps);
    return y;
  }
}

}  // namespace tess
