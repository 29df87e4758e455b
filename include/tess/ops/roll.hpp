// rev, roll, rotate_half: elements in another order along dimensions that are whole.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <tuple>

#include "../core/error.hpp"
#include "../tensor/line.hpp"
#include "along.hpp"

namespace tess {

namespace detail {
template <class X, int... Dim>
constexpr auto rev_fact_of() {
  constexpr int missing = missing_dim<X, Dim...>();
  if constexpr (missing != no_dim) return std::type_identity<dim_error<operations::rev, X, missing>>{};
  else return along_fact_of<operations::rev, X, kept_plan<X, ((1u << Dim) | ... | 0u), rules::Acts::moves>>();
}
/// The error of an operation along one dimension.
template <class Op, class X, int Dim, rules::Acts A>
constexpr auto one_dim_fact_of() {
  if constexpr (!has_dim<X>(Dim)) return std::type_identity<dim_error<Op, X, Dim>>{};
  else return along_fact_of<Op, X, kept_plan<X, 1u << Dim, A>>();
}
template <class Op, class X, int Dim, rules::Acts A>
using one_dim_fact = typename decltype(one_dim_fact_of<Op, X, Dim, A>())::type;
}  // namespace detail

/// The dimensions Dim... backwards; each must be whole.
template <int... Dim, class D, AnyTensor X>
constexpr auto rev(D& dev, const X& x) {
  using fact = typename decltype(detail::rev_fact_of<X, Dim...>())::type;
  static_assert(fact::ok);
  if constexpr (!std::is_same_v<fact, nothing_wrong>) {
    return x;
  } else {
    constexpr unsigned dims = ((1u << Dim) | ... | 0u);
    X y = make<X>(dev, x.extents());
    const auto box = [&](index_t) {
      StridedCopy b;
      for (int d = 0; d < X::rank; ++d) {
        const index_t step = detail::local_stride(x, d);
        const bool back = dims >> d & 1u;
        if (back) b.from += (x.local_extent(d) - 1) * step;
        b.push(x.local_extent(d), back ? -step : step, step);
      }
      return b;
    };
    TESS_VERB(dev, copy, y, x, box);
    return y;
  }
}

/// y[..., (i + shift) mod N, ...] = x[..., i, ...] along dimension Dim, which must be whole. A negative shift rolls the
/// other way.
template <int Dim, class D, AnyTensor X>
constexpr auto roll(D& dev, const X& x, index_t shift) {
  using fact = detail::one_dim_fact<operations::roll, X, Dim, rules::Acts::moves>;
  static_assert(fact::ok);
  if constexpr (!std::is_same_v<fact, nothing_wrong>) {
    return x;
  } else {
    const index_t n = x.extent(Dim), by = n ? (shift % n + n) % n : 0;
    X y = make<X>(dev, x.extents());
    const auto run = [&](index_t from, index_t to, index_t count) {
      const auto box = [&x, from, to, count](index_t) {
        StridedCopy b;
        b.from = from * detail::local_stride(x, Dim), b.to = to * detail::local_stride(x, Dim);
        for (int d = 0; d < X::rank; ++d) {
          const index_t step = detail::local_stride(x, d);
          b.push(d == Dim ? count : x.local_extent(d), step, step);
        }
        return b;
      };
      TESS_VERB(dev, copy, y, x, box);
    };
    run(0, by, n - by);
    if (by > 0) run(n - by, 0, by);
    return y;
  }
}

namespace detail {
struct RotateHalf {
  template <class Y, class X>
  constexpr void operator()(Line<Y> y, Line<const X> x) const {
    const index_t half = x.count / 2;
    for (index_t i = 0; i < half; ++i) {
      y[i] = static_cast<Y>(-x[half + i]);
      y[half + i] = x[i];
    }
  }
  template <class Y, class X>
  constexpr void at(index_t i, Line<Y> y, Line<const X> x) const {
    const index_t half = x.count / 2;
    y[i] = i < half ? static_cast<Y>(-x[half + i]) : x[i - half];
  }
};
}  // namespace detail

/// (a, b) -> (-b, a) for the halves of the last dimension, which must be whole and of even extent. Linear: a pending
/// sum stays pending. Source: rotary embeddings of GPT-NeoX.
template <class D, AnyTensor X>
constexpr auto rotate_half(D& dev, const X& x) {
  using fact = detail::one_dim_fact<operations::rotate_half, X, X::rank - 1, rules::Acts::adds>;
  static_assert(fact::ok);
  if constexpr (!std::is_same_v<fact, nothing_wrong>) {
    return x;
  } else {
    if (x.extent(X::rank - 1) % 2 != 0)
      fail("[rotate_half] the last dimension has extent ", x.extent(X::rank - 1), ", which has no halves");
    X y = make<X>(dev, x.extents());
    TESS_VERB(dev, map_lines, detail::RotateHalf{}, X::rank - 1, std::tie(y), x);
    return y;
  }
}

}  // namespace tess
