// pad, pad_to_multiple: elements added around, between, or cut off; always said, never silent.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>

#include "../core/error.hpp"
#include "along.hpp"

namespace tess {

template <class Dim, class Extent>
struct padding_leaves_nothing {
  static_assert(detail::always_false<Dim>,
                "[pad] negative padding cuts elements off, at most all of them, and `interior` is 0 or more");
  static constexpr bool ok = true;
};

namespace detail {

template <class X, int Dim>
constexpr unsigned padded_dims(const rules::Padding& pad) {
  std::array<rules::Padding, static_cast<std::size_t>(X::rank)> all{};
  all[static_cast<std::size_t>(Dim)] = pad;
  return rules::padded_dims(mesh_value<typename X::mesh>, X::sharding, rules::shape_value<typename X::shape>,
                            all.data());
}
/// Zeros: whether the padding is known to be zero, which adds nothing to a pending sum.
template <class X, int Dim, index_t Low, index_t High, index_t Interior, bool Zeros>
struct pad_plan {
  static constexpr rules::Padding pad{Low, High, Interior};
  static constexpr index_t n = static_extent<typename X::shape>(Dim);
  static constexpr rules::AlongVerdict verdict =
      rules::along(mesh_value<typename X::mesh>, X::sharding, padded_dims<X, Dim>(pad),
                   rules::padding_acts(X::sharding, Zeros || pad.none()));
  static constexpr SpecValue value = verdict.result;
  static constexpr rules::ShapeValue shape = only_dim<X, Dim>(n == dyn ? dyn : pad.extent(n));
};
/// To the next multiple of N; an extent that only run time tells stays so.
template <class X, int Dim, index_t N, bool Zeros>
struct multiple_plan {
  static constexpr index_t n = static_extent<typename X::shape>(Dim);
  static constexpr rules::AlongVerdict verdict =
      rules::along(mesh_value<typename X::mesh>, X::sharding, 1u << Dim, rules::padding_acts(X::sharding, Zeros));
  static constexpr SpecValue value = verdict.result;
  static constexpr rules::ShapeValue shape = rules::shape_value<typename X::shape>;
};

template <class X, int Dim, index_t Low, index_t High, index_t Interior, bool Zeros>
constexpr auto padding_fact_of() {
  if constexpr (!has_dim<X>(Dim)) {
    return std::type_identity<dim_error<operations::pad, X, Dim>>{};
  } else {
    constexpr index_t n = static_extent<typename X::shape>(Dim);
    if constexpr (Interior < 0 || (n != dyn && rules::Padding{Low, High, Interior}.extent(n) < 0))
      return std::type_identity<padding_leaves_nothing<dim<Dim>, extent<n>>>{};
    else return along_fact_of<operations::pad, X, pad_plan<X, Dim, Low, High, Interior, Zeros>>();
  }
}

/// y is `value` with the elements of x in it.
template <class D, class Y, class X>
constexpr void copy_padded(D& dev, Y& y, const X& x, int dim, const rules::Padding& pad,
                           const typename X::value_type& value) {
  const auto box = [&x, &y, dim, pad](index_t device) {
    const index_t held = x.local_extent(dim), mine = y.local_extent(dim), step = pad.interior + 1;
    const index_t p = shard_of<X>(dim, device),
                  begin = pad.low + p * held * step - p * mine;  // of element 0, in y's shard
    const auto [first, last] = rules::inside(begin, held, step, mine);
    StridedCopy b;
    b.from = first * local_stride(x, dim);
    b.to = (begin + first * step) * local_stride(y, dim);
    for (int d = 0; d < X::rank; ++d)
      b.push(d == dim ? std::max<index_t>(last - first + 1, 0) : x.local_extent(d), local_stride(x, d),
             local_stride(y, d) * (d == dim ? step : 1));
    return b;
  };
  TESS_VERB(dev, fill, y, value);
  TESS_VERB(dev, copy, y, x, box);
}

template <int Dim, index_t Low, index_t High, index_t Interior, bool Zeros, class D, class X>
constexpr auto padded(D& dev, const X& x, const typename X::value_type& value) {
  using fact = typename decltype(padding_fact_of<X, Dim, Low, High, Interior, Zeros>())::type;
  static_assert(fact::ok);
  if constexpr (!std::is_same_v<fact, nothing_wrong>) {
    return x;
  } else {
    using Rule = pad_plan<X, Dim, Low, High, Interior, Zeros>;
    if constexpr (Rule::pad.none()) {
      return x;
    } else {
      using R = planned_tensor<X, Rule>;
      const index_t n = Rule::pad.extent(x.extent(Dim));
      if (n < 0) fail("[pad] padding_leaves_nothing of dimension ", Dim, " of extent ", x.extent(Dim));
      R y = make<R>(dev, resized<R>(x.extents(), Dim, n));
      copy_padded(dev, y, x, Dim, Rule::pad, value);
      return y;
    }
  }
}
template <int Dim, index_t N, bool Zeros, class D, class X>
constexpr auto padded_to_multiple(D& dev, const X& x, const typename X::value_type& value) {
  static_assert(N >= 1, "[pad_to_multiple] a multiple of 1 or more");
  static_assert(dim_error<operations::pad_to_multiple, X, Dim>::ok);
  if constexpr (!has_dim<X>(Dim) || N < 1) {
    return x;
  } else {
    constexpr index_t n = static_extent<typename X::shape>(Dim);
    if constexpr (n != dyn) {
      return padded<Dim, 0, (N - n % N) % N, 0, Zeros>(dev, x, value);
    } else {
      using fact = along_fact<operations::pad_to_multiple, X, multiple_plan<X, Dim, N, Zeros>>;
      static_assert(fact::ok);
      if constexpr (!std::is_same_v<fact, nothing_wrong>) {
        return x;
      } else {
        const index_t more = (N - x.extent(Dim) % N) % N;
        if (more == 0) return x;
        X y = make<X>(dev, resized<X>(x.extents(), Dim, x.extent(Dim) + more));
        copy_padded(dev, y, x, Dim, {0, more, 0}, value);
        return y;
      }
    }
  }
}
}  // namespace detail

/// Low zeros before, High behind and Interior between any two elements of dimension Dim; negative ones cut off.
/// N -> Low + N + (N - 1) · Interior + High. Dim must be whole, unless every device gets its own elements and zeros
/// only. A pending sum stays one: zeros add nothing.
template <int Dim, index_t Low, index_t High, index_t Interior = 0, class D, AnyTensor X>
constexpr auto pad(D& dev, const X& x) {
  return detail::padded<Dim, Low, High, Interior, true>(dev, x, typename X::value_type{});
}
/// The same with another value, which a pending sum refuses: every device would add its own.
template <int Dim, index_t Low, index_t High, index_t Interior = 0, class D, AnyTensor X>
constexpr auto pad(D& dev, const X& x, const typename X::value_type& value) {
  return detail::padded<Dim, Low, High, Interior, false>(dev, x, value);
}

/// Zeros behind, so that the extent of Dim becomes a multiple of N: 25 heads to 32, which 8 devices can share. Pad
/// first, then shard: a sharded Dim is refused.
template <int Dim, index_t N, class D, AnyTensor X>
constexpr auto pad_to_multiple(D& dev, const X& x) {
  return detail::padded_to_multiple<Dim, N, true>(dev, x, typename X::value_type{});
}
template <int Dim, index_t N, class D, AnyTensor X>
constexpr auto pad_to_multiple(D& dev, const X& x, const typename X::value_type& value) {
  return detail::padded_to_multiple<Dim, N, false>(dev, x, value);
}

}  // namespace tess
