// Dimensions and products of blocks: what a device does with whole blocks of its own. No bytes move.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../lines.hpp"
#include "elements.hpp"

namespace tess {

template <class Shape, class Dim>
struct block_has_no_such_dimension {
  static_assert(detail::always_false<Shape>, "[shard_map] the block has no such dimension");
  static constexpr bool ok = true;
};
template <class Shape, class Dim, class Extent>
struct part_is_longer_than_the_block {
  static_assert(detail::always_false<Shape>, "[shard_map] a part of a dimension is at most as long as the dimension");
  static constexpr bool ok = true;
};
template <class Shape, class Dim>
struct dimension_is_not_one {
  static_assert(detail::always_false<Shape>, "[shard_map] squeeze<> takes a dimension of extent 1 away, and no other");
  static constexpr bool ok = true;
};

namespace blocks {
template <class S, unsigned Dropped>
struct dims_kept {
  static constexpr int count = [] {
    int n = 0;
    for (int d = 0; d < S::rank; ++d) n += !(Dropped >> d & 1u);
    return n;
  }();
  static constexpr int at(int i) {
    for (int d = 0; d < S::rank; ++d)
      if (!(Dropped >> d & 1u) && i-- == 0) return d;
    return 0;
  }
};
template <class S, unsigned Dropped, int... I>
auto drop_dims(std::integer_sequence<int, I...>) -> Shape<static_extent<S>(dims_kept<S, Dropped>::at(I))...>;
template <class S, unsigned Dropped>
using without_dims = decltype(drop_dims<S, Dropped>(std::make_integer_sequence<int, dims_kept<S, Dropped>::count>{}));
template <class S, unsigned Dropped>
constexpr auto extents_without(const Extents<S>& e) {
  using R = without_dims<S, Dropped>;
  std::array<index_t, static_cast<std::size_t>(R::rank)> all{};
  for (int i = 0; i < R::rank; ++i) all[static_cast<std::size_t>(i)] = e[dims_kept<S, Dropped>::at(i)];
  return Extents<R>::from(all);
}
template <class S, int Dim, index_t N, int... D>
auto set_dim(std::integer_sequence<int, D...>) -> Shape<(D == Dim ? N : static_extent<S>(D))...>;
/// S with another extent at dimension Dim.
template <class S, int Dim, index_t N>
using with_dim = decltype(set_dim<S, Dim, N>(std::make_integer_sequence<int, S::rank>{}));
template <class To, class From>
constexpr Extents<To> extents_with_dim(const Extents<From>& e, int dim, index_t n) {
  auto all = e.array();
  all[static_cast<std::size_t>(dim)] = n;
  return Extents<To>::from(all);
}
template <class S, int Dim, int... D>
auto insert_one(std::integer_sequence<int, D...>) -> Shape<(D < Dim    ? static_extent<S>(D < S::rank ? D : 0)
                                                            : D == Dim ? 1
                                                                       : static_extent<S>(D > 0 ? D - 1 : 0))...>;

template <class X, int... Dim>
constexpr auto dims_fact_of() {
  if constexpr (is_refused<X>) return first_refusal<X>{};
  else if constexpr (((Dim < 0 || Dim >= X::rank) || ...))
    return std::type_identity<block_has_no_such_dimension<shape<typename X::shape>, dim<Dim>...>>{};
  else return std::type_identity<nothing_wrong>{};
}
/// The broken rule of an operation on dimensions Dim... of X.
template <class X, int... Dim>
using dims_fact = typename decltype(dims_fact_of<X, Dim...>())::type;

template <class F, class X, int... Dim>
constexpr auto fold_fact_of() {
  if constexpr (!holds<dims_fact<X, Dim...>>) return std::type_identity<dims_fact<X, Dim...>>{};
  else return std::type_identity<zip_fact<F, X>>{};
}
template <class F, template <class> class Line, int... Dim, class X>
constexpr auto fold_block(const X& x, std::integer_sequence<int, Dim...>) {
  using fact = typename decltype(fold_fact_of<F, X, Dim...>())::type;
  (void)sizeof(reported<fact, X>);
  if constexpr (!holds<fact>) {
    return Refused<fact>{};
  } else {
    constexpr unsigned dims = ((1u << Dim) | ... | 0u);
    using R = result_block<typename X::value_type, without_dims<typename X::shape, dims>, joined<F, X>, X>;
    auto& dev = Inside::device(x);
    auto y = fresh<R>(x, extents_without<typename X::shape, dims>(x.extents()));
    const Line<typename X::value_type> f{};
    TESS_VERB(dev, reduce_lines, f, y, Inside::local(x), dims);
    return Inside::block<typename R::varying>(dev, y);
  }
}
template <class F, template <class> class Line, int... Dim, class X>
constexpr auto fold_dims(const X& x) {
  if constexpr (sizeof...(Dim) > 0 || is_refused<X>)
    return fold_block<F, Line>(x, std::integer_sequence<int, Dim...>{});
  else return fold_block<F, Line>(x, std::make_integer_sequence<int, X::rank>{});
}
}  // namespace blocks

/// The sum of a block over its dimensions Dim..., all of them if none is said. Of this device's block only: to sum over
/// devices too, psum<> it.
template <int... Dim, AnyBlock X>
constexpr auto sum(const X& x) {
  return blocks::fold_dims<blocks::Linear, lines::Sum, Dim...>(x);
}
template <int... Dim, AnyBlock X>
constexpr auto max(const X& x) {
  return blocks::fold_dims<blocks::Opaque, lines::Max, Dim...>(x);
}
template <int... Dim, AnyBlock X>
constexpr auto min(const X& x) {
  return blocks::fold_dims<blocks::Opaque, lines::Min, Dim...>(x);
}

/// [..., A, ...] -> [..., 1, A, ...]: a dimension of extent 1 in front of dimension Dim.
template <int Dim, AnyBlock X>
constexpr auto expand_dims(const X& x) {
  if constexpr (blocks::is_refused<X>) {
    return x;
  } else {
    static_assert(Dim >= 0 && Dim <= X::rank,
                  "[shard_map] expand_dims<Dim>: Dim is a dimension, or one behind the last");
    using S = decltype(blocks::insert_one<typename X::shape, Dim>(std::make_integer_sequence<int, X::rank + 1>{}));
    std::array<index_t, static_cast<std::size_t>(X::rank + 1)> all{};
    for (int d = 0; d <= X::rank; ++d)
      all[static_cast<std::size_t>(d)] = d < Dim ? x.extent(d) : d == Dim ? 1 : x.extent(d - 1);
    return blocks::Inside::reshape<S>(x, Extents<S>::from(all));
  }
}

namespace blocks {
template <class X, int Dim>
constexpr auto squeeze_fact_of() {
  if constexpr (!holds<dims_fact<X, Dim>>) return std::type_identity<dims_fact<X, Dim>>{};
  else
    return std::type_identity<holds_or<static_extent<typename X::shape>(Dim) == 1,
                                       dimension_is_not_one<shape<typename X::shape>, dim<Dim>>>>{};
}
}  // namespace blocks

/// [..., 1, ...] -> [..., ...]: without dimension Dim, whose extent is 1.
template <int Dim, AnyBlock X>
constexpr auto squeeze(const X& x) {
  using fact = typename decltype(blocks::squeeze_fact_of<X, Dim>())::type;
  (void)sizeof(blocks::reported<fact, X>);
  if constexpr (!blocks::holds<fact>) return Refused<fact>{};
  else
    return blocks::Inside::reshape<blocks::without_dims<typename X::shape, 1u << Dim>>(
        x, blocks::extents_without<typename X::shape, 1u << Dim>(x.extents()));
}

namespace blocks {
template <class X, class Start, int Dim, index_t Size>
constexpr auto slice_fact_of() {
  if constexpr (any_refused<X, Start>) return first_refusal<X, Start>{};
  else if constexpr (!holds<dims_fact<X, Dim>>) return std::type_identity<dims_fact<X, Dim>>{};
  else if constexpr (static_extent<typename X::shape>(Dim) != dyn && Size > static_extent<typename X::shape>(Dim))
    return std::type_identity<part_is_longer_than_the_block<shape<typename X::shape>, dim<Dim>, extent<Size>>>{};
  else return std::type_identity<zip_fact<Opaque, X, Start>>{};
}
}  // namespace blocks

/// Size places of dimension Dim from `start` on, a scalar block of integers. Varies along the axes of both: a device that
/// starts at its own number takes its own part, and no bytes move.
template <int Dim, index_t Size, AnyBlock X, AnyBlock Start>
constexpr auto dynamic_slice(const X& x, const Start& start) {
  using fact = typename decltype(blocks::slice_fact_of<X, Start, Dim, Size>())::type;
  (void)sizeof(blocks::reported<fact, X, Start>);
  if constexpr (!blocks::holds<fact>) {
    return Refused<fact>{};
  } else {
    static_assert(Start::rank == 0 && std::is_integral_v<typename Start::value_type>,
                  "[shard_map] the start of a dynamic_slice is a scalar block of integers");
    using S = blocks::with_dim<typename X::shape, Dim, Size>;
    using R = blocks::result_block<typename X::value_type, S, blocks::joined<blocks::Opaque, X, Start>, X>;
    auto& dev = blocks::Inside::device(x);
    auto y = blocks::fresh<R>(x, blocks::extents_with_dim<S>(x.extents(), Dim, Size));
    TESS_VERB(dev, dynamic_slice, y, blocks::Inside::local(x), blocks::Inside::local(start), Dim);
    return blocks::Inside::block<typename R::varying>(dev, y);
  }
}
/// The entry of dimension Dim at `i`, without the dimension: x[i] where Dim is 0.
template <int Dim, AnyBlock X, AnyBlock I>
constexpr auto dynamic_index(const X& x, const I& i) {
  return squeeze<Dim>(dynamic_slice<Dim, 1>(x, i));
}

// ---- products

namespace blocks {
template <class X, class W>
constexpr auto product_fact_of() {
  if constexpr (any_refused<X, W>) {
    return first_refusal<X, W>{};
  } else if constexpr (X::rank < 1 || W::rank != 2 ||
                       !extents_agree(static_extent<typename X::shape>(X::rank - 1),
                                      static_extent<typename W::shape>(0))) {
    return std::type_identity<contracted_extents_differ<lhs<typename X::shape>, rhs<typename W::shape>>>{};
  } else {
    constexpr rules::JoinVerdict v = joined<Bilinear, X, W>::verdict;
    return join_fact<v.fault, over_axes<typename X::mesh, v.at>, X, W>();
  }
}
}  // namespace blocks

/// x [..., K] · w [K, N] of this device's blocks, f32. Where an axis cuts K, the results of the devices along it are addends
/// that differ: they vary, and psum<> finishes the sum.
template <AnyBlock X, AnyBlock W>
constexpr auto matmul(const X& x, const W& w) {
  using fact = typename decltype(blocks::product_fact_of<X, W>())::type;
  (void)sizeof(blocks::reported<fact, X, W>);
  if constexpr (!blocks::holds<fact>) {
    return Refused<fact>{};
  } else {
    using S = blocks::with_dim<typename X::shape, X::rank - 1, blocks::static_extent<typename W::shape>(1)>;
    using R = blocks::result_block<f32, S, blocks::joined<blocks::Bilinear, X, W>, X>;
    auto& dev = blocks::Inside::device(x);
    auto y = blocks::fresh<R>(x, blocks::extents_with_dim<S>(x.extents(), X::rank - 1, w.extent(1)));
    TESS_VERB(dev, matmul, y, blocks::Inside::local(x), blocks::Inside::local(w));
    return blocks::Inside::block<typename R::varying>(dev, y);
  }
}

// ---- the rest of the library

/// A device without neighbours: every verb of Dry but those that move bytes between devices.
struct OneDevice : Dry {
  template <class... Args>
  void collective(Args&&...) = delete;
  template <class... Args>
  void gather_weights(Args&&...) = delete;
};

namespace blocks {
template <class First, class... X>
constexpr auto locally_fact_of() {
  if constexpr (any_refused<First, X...>) {
    return first_refusal<First, X...>{};
  } else if constexpr (!(std::is_same_v<typename First::mesh, typename X::mesh> && ...)) {
    return std::type_identity<
        operands_live_on_different_meshes<lhs<typename First::mesh>, rhs<over<typename X::mesh...>>>>{};
  } else {
    constexpr rules::JoinVerdict v = joined<Opaque, First, X...>::verdict;
    return join_fact<v.fault, over_axes<typename First::mesh, v.at>, First, X...>();
  }
}
template <class X, class D>
using whole_on = ShardedTensor<typename X::value_type, typename X::shape, typename X::mesh, P<>, D>;
}  // namespace blocks

/// Any operation of the library on what this device has, to it whole tensors:
///   locally([](auto& dev, const auto& t) { return softmax(dev, t); }, x)
/// The result varies as the operands do, none of which may be pending. An operation that moves bytes does not compile.
template <class F, AnyBlock... X>
constexpr auto locally(F f, const X&... x) {
  using fact = typename decltype(blocks::locally_fact_of<X...>())::type;
  (void)sizeof(blocks::reported<fact, X...>);
  if constexpr (!blocks::holds<fact>) {
    return Refused<fact>{};
  } else {
    using Alone = decltype(f(std::declval<OneDevice&>(), std::declval<const blocks::whole_on<X, OneDevice>&>()...));
    static_assert(Alone::sharding.used() == 0, "[shard_map] what a device computes locally is whole to it");
    auto& dev = blocks::Inside::device(std::get<0>(std::tie(x...)));
    using M = typename Alone::mesh;
    return blocks::Inside::block<blocks::state_type<M, blocks::joined<blocks::Opaque, X...>>>(
        dev, f(dev, blocks::Inside::local(x)...));
  }
}

}  // namespace tess
