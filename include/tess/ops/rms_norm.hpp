// rms_norm over the last dimension; where that is sharded, by name, with one small sum across devices.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "elementwise.hpp"
#include "reduction.hpp"
#include "reshard.hpp"

namespace tess {

namespace detail {
template <class X>
struct sum_squares_spec {
  static constexpr SpecValue value = [] {
    SpecValue s = X::sharding;
    s.pend(s[s.rank - 1].mask());
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

/// The rows of x over the root of their mean square, times the scale. A row may be spread over devices: then its sum is
/// finished on the way. Where x or the scale is the coarser, it is sliced.
template <class Y, class D, AnyTensor X, AnyTensor Scale>
constexpr auto rms_norm_of(D& dev, const X& x, const Scale& scale, f32 eps) {
  static_assert(elementwise_fact<fn::Multiply, X, Scale>::ok);
  using R = mapped_type<Y, fn::Multiply, X, Scale>;
  if constexpr (!Mappable<fn::Multiply, X, Scale>) {
    return R{};
  } else {
    using M = typename X::mesh;
    using Sums = ShardedTensor<f32, with_last<typename X::shape, 1>, M, spec_type<M, sum_squares_spec<X>>, D>;
    Sums partial = make<Sums>(dev, extents_with_last<typename Sums::shape>(x.extents(), 1));
    TESS_VERB(dev, sum_squares, partial, x);
    const auto sums = reduce(dev, partial);
    if (scale.extent(0) != x.extent(X::rank - 1))
      fail("[rms_norm] the scale has extent ", scale.extent(0), ", the rows ", x.extent(X::rank - 1));
    const auto own_x = reshard<typename R::spec>(dev, x);
    const auto own_scale = reshard<spec_type<M, row_vector_spec<R>>>(dev, scale);
    R y = make<R>(dev, x.extents());
    TESS_VERB(dev, rms_scale, y, own_x, sums, own_scale, eps);
    return y;
  }
}
}  // namespace detail

/// x [..., D] f32 or bf16, scale [D] f32 -> Y [..., D]; statistics in f32. Rows are whole on a device: no bytes move.
///   P<b, None> , P<d> -> P<b, d>, the rows sliced after they are summed. Refused on a pending sum.
/// Source: Zhang and Sennrich, arXiv 1910.07467; Grok-1's model.py, class RMSNorm (plain scale, not 1 + scale).
template <class Y, class D, AnyTensor X, AnyTensor Scale>
constexpr auto rms_norm(D& dev, const X& x, const Scale& scale, f32 eps) {
  using fact = detail::rows_fact<X>;
  static_assert(fact::ok);
  if constexpr (std::is_same_v<fact, nothing_wrong>) return detail::rms_norm_of<Y>(dev, x, scale, eps);
  else return reduced_type<with_type<X, Y>>{};
}

/// The same for rows that may be spread over devices. Bytes: an all-reduce of one f32 a row over D's axes; none where D is
/// not sharded.
template <class Y, class D, AnyTensor X, AnyTensor Scale>
constexpr auto rms_norm_sharded(D& dev, const X& x, const Scale& scale, f32 eps) {
  static_assert(detail::map_fact<X, X>::ok);
  if constexpr (X::sharding.partial) return reduced_type<with_type<X, Y>>{};
  else return detail::rms_norm_of<Y>(dev, x, scale, eps);
}

}  // namespace tess
