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

/// Are the rows of these tensors whole on every device, and do they lie alike? Then a device may take them in one go.
template <class X>
inline constexpr bool has_whole_rows = X::sharding.partial == 0 &&
                                       X::sharding[X::rank - 1].without(trivial_axes<typename X::mesh>()).count == 0;
template <class X, class Y, class Scale>
inline constexpr bool rows_lie_whole = (has_whole_rows<X> && has_whole_rows<Scale> && lies_as<X, Y>());

/// The rows of x over the root of their mean square, times the scale. A device with a verb `rms_norm` does it in one. A
/// row may be spread over devices: then its sum is finished on the way. Where x or the scale is the coarser, it is
/// sliced.
template <class Y, class D, AnyTensor X, AnyTensor Scale>
constexpr auto rms_norm_of(D& dev, const X& x, const Scale& scale, f32 eps) {
  static_assert(elementwise_fact<fn::Multiply, X, Scale>::ok);
  using R = mapped_type<Y, fn::Multiply, X, Scale>;
  if constexpr (!Mappable<fn::Multiply, X, Scale>) {
    return R{};
  } else {
    using M = typename X::mesh;
    if (scale.extent(0) != x.extent(X::rank - 1))
      fail("[rms_norm] the scale has extent ", scale.extent(0), ", the rows ", x.extent(X::rank - 1));
    if constexpr (rows_lie_whole<X, R, Scale> && requires(R & y) { dev.rms_norm(y, x, scale, eps); }) {
      R y = make<R>(dev, x.extents());
      dev.rms_norm(y, x, scale, eps);
      return y;
    } else {
      using Sums = ShardedTensor<f32, with_last<typename X::shape, 1>, M, spec_type<M, sum_squares_spec<X>>, D>;
      Sums partial = make<Sums>(dev, extents_with_last<typename Sums::shape>(x.extents(), 1));
      TESS_VERB(dev, sum_squares, partial, x);
      const auto sums = reduce(dev, partial);
      const auto own_x = reshard<typename R::spec>(dev, x);
      const auto own_scale = reshard<spec_type<M, row_vector_spec<R>>>(dev, scale);
      R y = make<R>(dev, x.extents());
      TESS_VERB(dev, rms_scale, y, own_x, sums, own_scale, eps);
      return y;
    }
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

/// The same for rows that may be spread over devices. Bytes: an all-reduce of one f32 a row over D's axes; none where D
/// is not sharded.
template <class Y, class D, AnyTensor X, AnyTensor Scale>
constexpr auto rms_norm_sharded(D& dev, const X& x, const Scale& scale, f32 eps) {
  static_assert(detail::map_fact<X, X>::ok);
  if constexpr (X::sharding.partial) return reduced_type<with_type<X, Y>>{};
  else return detail::rms_norm_of<Y>(dev, x, scale, eps);
}

namespace detail {
/// What fused verbs are spared to check.
template <class H, class A, class Scale>
constexpr void check_rows(const H& h, const A& a, const Scale& scale) {
  for (int d = 0; d < H::rank; ++d)
    if (h.extent(d) != a.extent(d))
      fail("[rms_norm] dimension ", d, " has extent ", a.extent(d), " in the rows and ", h.extent(d),
           " in what they are added to");
  if (scale.extent(0) != h.extent(H::rank - 1))
    fail("[rms_norm] the scale has extent ", scale.extent(0), ", the rows ", h.extent(H::rank - 1));
}
}  // namespace detail

/// h [..., D] + rms_norm(a) · scale, and its norm.
template <class H, class N>
struct AddedNorms {
  H sum;
  N normed;  // rms_norm(sum) · next_scale
};

/// h + rms_norm(a) · scale, a [..., D] of the residual stream h's sharding; scale f32 [D]. rms_norm_sharded and add; a
/// device with a verb of that name does both in one where rows are whole.
template <class D, AnyTensor H, AnyTensor A, AnyTensor Scale>
constexpr H add_rms_norm(D& dev, const H& h, const A& a, const Scale& scale, f32 eps) {
  if constexpr (detail::rows_lie_whole<H, A, Scale> && requires(H & sum) { dev.add_rms_norm(sum, h, a, scale, eps); }) {
    detail::check_rows(h, a, scale);
    H sum = make<H>(dev, h.extents());
    dev.add_rms_norm(sum, h, a, scale, eps);
    return sum;
  } else {
    return add(dev, h, rms_norm_sharded<typename H::value_type>(dev, a, scale, eps));
  }
}

/// The same sum, and its own norm: what stands between two blocks of a decoder with sandwich norms.
///   normed: Y [..., D] = rms_norm(sum) · next_scale
template <class Y, class D, AnyTensor H, AnyTensor A, AnyTensor Scale, AnyTensor NextScale>
constexpr auto add_rms_norms(D& dev, const H& h, const A& a, const Scale& scale, const NextScale& next_scale, f32 eps,
                             f32 next_eps) {
  using N = with_type<H, Y>;
  if constexpr (detail::rows_lie_whole<H, A, Scale> && detail::has_whole_rows<NextScale> &&
                requires(H & sum, N & normed) {
                  dev.add_rms_norms(sum, normed, h, a, scale, next_scale, eps, next_eps);
                }) {
    detail::check_rows(h, a, scale), detail::check_rows(h, a, next_scale);
    AddedNorms<H, N> r{make<H>(dev, h.extents()), make<N>(dev, h.extents())};
    dev.add_rms_norms(r.sum, r.normed, h, a, scale, next_scale, eps, next_eps);
    return r;
  } else {
    H sum = add_rms_norm(dev, h, a, scale, eps);
    N normed = rms_norm_sharded<Y>(dev, sum, next_scale, next_eps);
    return AddedNorms<H, N>{std::move(sum), std::move(normed)};
  }
}

}  // namespace tess
