// full, iota, broadcast_in_dim: tensors that every device makes from what it has.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../sharding/rules/reduction.hpp"
#include "map.hpp"

namespace tess {

namespace fn {
template <class T>
struct Constant {
  T value;
  template <class Index>
  constexpr T operator()(const Index&) const {
    return value;
  }
};
template <int Dim>
struct IndexAlong {
  template <class Index>
  constexpr index_t operator()(const Index& i) const {
    return i[static_cast<std::size_t>(Dim)];
  }
};
struct Same {
  static constexpr rules::Algebra algebra{.together = 0b1, .rises = 0b1};
  template <class T>
  constexpr T operator()(T x) const {
    return x;
  }
};
}  // namespace fn

/// [S] of `value` on every device, sharded as Spec says.
template <class T, AnyShape S, AnyMesh M, AnySpec Spec = P<>, class D>
constexpr auto full(D& dev, T value, const Extents<S>& extents = {}) {
  auto y = make<ShardedTensor<T, S, M, Spec, D>>(dev, extents);
  TESS_VERB(dev, fill_by_index, fn::Constant<T>{value}, y);
  return y;
}

/// y[i...] = the index along dimension Dim: 0, 1, 2, … Every device numbers its own part of the whole.
template <class T, AnyShape S, AnyMesh M, AnySpec Spec = P<>, int Dim = 0, class D>
constexpr auto iota(D& dev, const Extents<S>& extents = {}) {
  static_assert(Dim >= 0 && Dim < S::rank, "[iota] there is no such dimension");
  auto y = make<ShardedTensor<T, S, M, Spec, D>>(dev, extents);
  TESS_VERB(dev, fill_by_index, fn::IndexAlong<Dim>{}, y);
  return y;
}

namespace detail {
template <int... Dim>
struct DimList {
  static constexpr int count = sizeof...(Dim);
  static constexpr int dims[sizeof...(Dim) + 1] = {Dim..., 0};
};
/// Dimensions of X stand in order in S, with the extents of S, or 1.
template <class X, class S, class Dims>
constexpr bool broadcasts() {
  if (Dims::count != X::rank) return false;
  for (int i = 0; i < X::rank; ++i) {
    const int d = Dims::dims[i];
    if (d < 0 || d >= S::rank || (i > 0 && d <= Dims::dims[i - 1])) return false;
    const index_t n = static_extent<typename X::shape>(i);
    if (n != 1 && !extents_agree(n, static_extent<S>(d))) return false;
  }
  return true;
}
/// Which dimension of X is dimension d of the result; -1: none.
template <class Dims>
constexpr int origin(int d) {
  for (int i = 0; i < Dims::count; ++i)
    if (Dims::dims[i] == d) return i;
  return -1;
}
template <class X, class Dims, int... D>
auto laid_out_shape(std::integer_sequence<int, D...>)
    -> Shape<(origin<Dims>(D) < 0 ? index_t{1}
                                  : static_extent<typename X::shape>(origin<Dims>(D) < 0 ? 0 : origin<Dims>(D)))...>;
template <class X, class S, class Dims>
struct broadcast_spec {
  static constexpr SpecValue value = rules::broadcast_in_dim(X::sharding, S::rank, Dims::dims);
};
template <class S, int... I>
auto last_dims(std::integer_sequence<int, I...>) -> DimList<(S::rank - static_cast<int>(sizeof...(I)) + I)...>;

template <class S, class Dims, class D, AnyTensor X>
constexpr auto broadcast(D& dev, const X& x, const Extents<S>& extents) {
  using M = typename X::mesh;
  static_assert(holds_or<broadcasts<X, S, Dims>(), operand_shapes_differ<lhs<typename X::shape>, rhs<S>>>::ok);
  if constexpr (!broadcasts<X, S, Dims>()) {
    return with_shape<X, S, P<>>{};
  } else {
    using spec = spec_type<M, broadcast_spec<X, S, Dims>>;
    using S1 = decltype(laid_out_shape<X, Dims>(std::make_integer_sequence<int, S::rank>{}));
    std::array<index_t, static_cast<std::size_t>(S::rank)> all{};
    for (int d = 0; d < S::rank; ++d) {
      const int i = origin<Dims>(d);
      all[static_cast<std::size_t>(d)] = i < 0 ? 1 : x.extent(i);
      if (i >= 0 && static_extent<typename X::shape>(i) != 1 && x.extent(i) != extents[d])
        fail("[broadcast] operand_shapes_differ: dimension ", d, " has extents ", x.extent(i), " and ", extents[d]);
    }
    const with_shape<X, S1, spec> laid_out(Extents<S1>::from(all), x.storage());
    auto y = make<with_shape<X, S, spec>>(dev, extents);
    TESS_VERB(dev, map_broadcast, fn::Same{}, y, laid_out);
    return y;
  }
}
}  // namespace detail

/// x with dimension i as dimension Dim_i of S, repeated along the others: `broadcast_in_dim<Shape<2, 4, 8>, 1, 2>`.
/// P<a, b> -> P<None, a, b>. A pending value stays pending.
template <AnyShape S, int... Dim, class D, AnyTensor X>
constexpr auto broadcast_in_dim(D& dev, const X& x, const Extents<S>& extents = {}) {
  return detail::broadcast<S, detail::DimList<Dim...>>(dev, x, extents);
}

/// x repeated to shape S as numpy does: dimensions are aligned at the last, and extents of 1 stretch.
template <AnyShape S, class D, AnyTensor X>
constexpr auto broadcast_to(D& dev, const X& x, const Extents<S>& extents = {}) {
  return detail::broadcast<S, decltype(detail::last_dims<S>(std::make_integer_sequence<int, X::rank>{}))>(dev, x,
                                                                                                          extents);
}

}  // namespace tess
