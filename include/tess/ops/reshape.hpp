// split and merge: the reshapes of neighbouring dimensions that are local, with the exact rule for when they are.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../device/device.hpp"

namespace tess {

template <class Spec, class Dim, class Into>
struct reshape_is_not_local {
  static_assert(detail::always_false<Spec>,
                "[reshape] the shards of this dimension do not fall on whole entries of the new dimensions, so "
                "elements would have to move: use fewer shards on it, or reshard<> first");
  static constexpr bool ok = true;
};

namespace detail {

/// Splitting N into (outer, inner) is local when the shards of N are whole runs of `inner`: the axes stay on outer,
/// major first. (sharding.md section 0; axes spilling into `inner` come with the complete algebra.)
template <class X, int Dim, index_t Outer>
constexpr bool split_is_local() {
  return Outer == dyn || Outer % parts<typename X::mesh>(X::sharding[Dim]) == 0;
}
template <class X, int Dim>
struct split_spec {
  static constexpr SpecValue value = [] {
    SpecValue s = X::sharding;
    ++s.rank;
    for (int d = s.rank - 1; d > Dim + 1; --d) s[d] = s[d - 1];
    s[Dim + 1] = {};
    return s;
  }();
};
template <class X, int Dim>
struct merge_spec {
  static constexpr SpecValue value = [] {
    SpecValue s = X::sharding;
    for (int d = Dim + 1; d < s.rank - 1; ++d) s[d] = s[d + 1];
    s[--s.rank] = {};
    return s;
  }();
};
template <class S, int Dim, index_t Outer, index_t Inner, int... D>
auto split_shape(std::integer_sequence<int, D...>) -> Shape<(D < Dim        ? static_extent<S>(D < Dim ? D : 0)
                                                             : D == Dim     ? Outer
                                                             : D == Dim + 1 ? Inner
                                                                            : static_extent<S>(D > 0 ? D - 1 : 0))...>;
template <class S, int Dim, int... D>
auto merge_shape(std::integer_sequence<int, D...>)
    -> Shape<(D < Dim    ? static_extent<S>(D)
              : D == Dim ? (static_extent<S>(D) == dyn || static_extent<S>(D + 1) == dyn
                                ? dyn
                                : static_extent<S>(D) * static_extent<S>(D + 1))
                         : static_extent<S>(D + 1))...>;
template <class S, int Dim>
constexpr bool extents_match(index_t outer, index_t inner) {
  const index_t o = static_extent<S>(Dim), i = static_extent<S>(Dim + 1);
  return (o == dyn || o == outer) && (i == dyn || i == inner);
}
}  // namespace detail

/// [..., N, ...] -> [..., outer, N / outer, ...] at dimension Dim; Outer (and Inner) may be numbers or dyn.
/// The mesh axes of N go to `outer`: P<..., a, ...> -> P<..., a, None, ...>. Local; refused when outer does not divide
/// over them, e.g. 8 key/value heads on a model axis of 16. Throws Error where only the run-time sizes tell.
template <int Dim, index_t Outer, index_t Inner, AnyTensor X>
constexpr auto split(const X& x, index_t outer) {
  static_assert(detail::holds_or<(detail::split_is_local<X, Dim, Outer>()),
                                 reshape_is_not_local<spec<typename X::spec>, dim<Dim>, into<Outer>>>::ok);
  using S = decltype(detail::split_shape<typename X::shape, Dim, Outer, Inner>(
      std::make_integer_sequence<int, X::rank + 1>{}));
  using R = with_shape<X, S, spec_type<typename X::mesh, detail::split_spec<X, Dim>>>;
  if constexpr (!detail::split_is_local<X, Dim, Outer>()) {
    return with_shape<X, S, P<>>{};
  } else {
    const index_t n = x.extent(Dim), inner = outer > 0 ? n / outer : 0;
    if (outer <= 0 || n % outer != 0 || !detail::extents_match<S, Dim>(outer, inner))
      fail("[reshape] dimension ", Dim, " of extent ", n, " does not split into ", outer,
           " equal parts of the declared size");
    std::array<index_t, static_cast<std::size_t>(X::rank + 1)> all{};
    for (int d = 0; d <= X::rank; ++d)
      all[static_cast<std::size_t>(d)] = d < Dim        ? x.extent(d)
                                         : d == Dim     ? outer
                                         : d == Dim + 1 ? inner
                                                        : x.extent(d - 1);
    return R(Extents<S>::from(all), x.storage());
  }
}

/// [..., A, B, ...] -> [..., A * B, ...] at dimensions Dim and Dim + 1. Local when B is unsharded: P<..., a, None> ->
/// P<..., a>.
template <int Dim, AnyTensor X>
constexpr auto merge(const X& x) {
  constexpr bool local = X::sharding[Dim + 1].without(trivial_axes<typename X::mesh>()).count == 0;
  static_assert(detail::holds_or<(local), reshape_is_not_local<spec<typename X::spec>, dim<Dim + 1>, into<1>>>::ok);
  using S = decltype(detail::merge_shape<typename X::shape, Dim>(std::make_integer_sequence<int, X::rank - 1>{}));
  using R = with_shape<X, S, spec_type<typename X::mesh, detail::merge_spec<X, Dim>>>;
  std::array<index_t, static_cast<std::size_t>(X::rank - 1)> all{};
  for (int d = 0; d < X::rank - 1; ++d)
    all[static_cast<std::size_t>(d)] = d < Dim    ? x.extent(d)
                                       : d == Dim ? x.extent(d) * x.extent(d + 1)
                                                  : x.extent(d + 1);
  return R(Extents<S>::from(all), x.storage());
}

}  // namespace tess
