// transpose: dimensions in another order. The axes go with them, and nothing moves between devices.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "along.hpp"

namespace tess {

template <class Order, class Shape>
struct order_is_no_permutation {
  static_assert(detail::always_false<Order>,
                "[transpose] the order names every dimension of the tensor once, counted from 0: transpose<1, 0>");
  static constexpr bool ok = true;
};
template <int...>
struct dimension_order;

namespace detail {
template <class X, int... Perm>
constexpr bool is_permutation_of_dims() {
  if (static_cast<int>(sizeof...(Perm)) != X::rank) return false;
  unsigned seen = 0;
  ((seen |= has_dim<X>(Perm) ? 1u << Perm : 0u), ...);
  return seen == (1u << X::rank) - 1u;
}
template <class X, int... Perm>
constexpr rules::ShapeValue transposed_shape() {
  rules::ShapeValue s;
  (s.push(static_extent<typename X::shape>(Perm)), ...);
  return s;
}
template <class X, int... Perm>
constexpr SpecValue transposed_spec() {
  rules::ShapeValue perm;
  (perm.push(Perm), ...);
  return rules::transpose(X::sharding, perm);
}
template <class X, int... Perm>
struct transpose_plan {
  static constexpr SpecValue value = transposed_spec<X, Perm...>();
  static constexpr rules::ShapeValue shape = transposed_shape<X, Perm...>();
};
}  // namespace detail

/// y[i_Perm0, i_Perm1, ...] = x[i0, i1, ...]: dimension d of y is dimension Perm[d] of x, as in numpy.
///   transpose<0, 2, 1>: [B, T, D] P<b, t, d, Partial<p>> -> [B, D, T] P<b, d, t, Partial<p>>. Any element type that is
/// copied as it is; pending values stay pending.
template <int... Perm, class D, AnyTensor X>
constexpr auto transpose(D& dev, const X& x) {
  constexpr bool fits = detail::is_permutation_of_dims<X, Perm...>();
  static_assert(
      detail::holds_or<fits, order_is_no_permutation<dimension_order<Perm...>, shape<typename X::shape>>>::ok);
  if constexpr (!fits) {
    return x;
  } else {
    using R = detail::planned_tensor<X, detail::transpose_plan<X, Perm...>>;
    constexpr int perm[] = {Perm..., 0};
    std::array<index_t, sizeof...(Perm)> all{};
    for (int d = 0; d < X::rank; ++d) all[static_cast<std::size_t>(d)] = x.extent(perm[d]);
    R y = make<R>(dev, Extents<typename R::shape>::from(all));
    const auto box = [&](index_t) {
      StridedCopy b;
      for (int d = 0; d < X::rank; ++d)
        b.push(y.local_extent(d), detail::local_stride(x, perm[d]), detail::local_stride(y, d));
      return b;
    };
    TESS_VERB(dev, copy, y, x, box);
    return y;
  }
}

}  // namespace tess
