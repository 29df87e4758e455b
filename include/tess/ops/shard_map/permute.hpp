// Blocks that change devices: all_to_all, ppermute, pbroadcast; and the number of a device along an axis.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "collectives.hpp"

namespace tess {

template <class Dim>
struct all_to_all_needs_two_dimensions {
  static_assert(detail::always_false<Dim>, "[shard_map] all_to_all splits one dimension and puts together another");
  static constexpr bool ok = true;
};
template <class Pair, class Axes>
struct device_sends_or_receives_twice {
  static_assert(detail::always_false<Pair>,
                "[shard_map] in a ppermute every device sends to at most one and receives from at most one");
  static constexpr bool ok = true;
};
template <class Pair, class Axes, class Devices>
struct no_such_device_along_the_axis {
  static_assert(detail::always_false<Pair>, "[shard_map] devices along an axis are numbered from 0 to its size - 1");
  static constexpr bool ok = true;
};

/// In a ppermute: the device From of an axis sends its block to the device To.
template <index_t From, index_t To>
struct Send {};

namespace blocks {

template <class X, int Split, int Concat, class... A>
constexpr auto all_to_all_fact_of() {
  using fact = dim_move_fact<X, Split, true, rules::Move::exchange, rules::Becomes::varying, A...>;
  if constexpr (!holds<fact>) return std::type_identity<fact>{};
  else if constexpr (!holds<dims_fact<X, Concat>>) return std::type_identity<dims_fact<X, Concat>>{};
  else return std::type_identity<holds_or<Split != Concat, all_to_all_needs_two_dimensions<dim<Split>>>>{};
}

template <class... S>
struct SendList;
template <index_t... From, index_t... To>
struct SendList<Send<From, To>...> {
  static constexpr std::size_t count = sizeof...(From);
  static constexpr std::array<std::array<index_t, 2>, count> pairs{{{From, To}...}};
  /// The first pair whose device is not in [0, n), or that repeats a source or a destination; -1: none.
  static constexpr int outside(index_t n) {
    for (std::size_t i = 0; i < count; ++i)
      if (pairs[i][0] < 0 || pairs[i][0] >= n || pairs[i][1] < 0 || pairs[i][1] >= n) return static_cast<int>(i);
    return -1;
  }
  static constexpr int repeated() {
    for (std::size_t i = 0; i < count; ++i)
      for (std::size_t j = 0; j < i; ++j)
        if (pairs[i][0] == pairs[j][0] || pairs[i][1] == pairs[j][1]) return static_cast<int>(i);
    return -1;
  }
};
template <class X, class A, class... S>
constexpr auto ppermute_fact_of() {
  using fact = move_fact<X, rules::Move::exchange, rules::Becomes::varying, A>;
  if constexpr (!holds<fact>) {
    return std::type_identity<fact>{};
  } else {
    using list = SendList<S...>;
    constexpr index_t n = axes_named<typename X::mesh, A>::size;
    if constexpr (list::outside(n) >= 0)
      return std::type_identity<no_such_device_along_the_axis<nth_t<list::outside(n), S...>, over<A>, extent<n>>>{};
    else if constexpr (list::repeated() >= 0)
      return std::type_identity<device_sends_or_receives_twice<nth_t<list::repeated(), S...>, over<A>>>{};
    else return std::type_identity<nothing_wrong>{};
  }
}
template <class X, class A, index_t Root>
constexpr auto broadcast_fact_of() {
  using fact = move_fact<X, rules::Move::exchange, rules::Becomes::invariant, A>;
  if constexpr (!holds<fact>) {
    return std::type_identity<fact>{};
  } else {
    constexpr index_t n = axes_named<typename X::mesh, A>::size;
    return std::type_identity<
        holds_or<(Root >= 0 && Root < n), no_such_device_along_the_axis<Send<Root, 0>, over<A>, extent<n>>>>{};
  }
}

template <class Moved, class X, std::size_t N>
constexpr auto send_blocks(const X& x, const DimAxes& axes, const std::array<std::array<index_t, 2>, N>& pairs) {
  auto& dev = Inside::device(x);
  auto y = fresh<X>(x, x.extents());
  TESS_VERB(dev, send, y, Inside::local(x), axes, pairs);
  return moved_block<Moved>(x, y);
}

template <class X, class... A>
struct numbered {
  static constexpr VaryingValue value{axes_named<typename X::mesh, A...>::mask, 0, 0, X::state.diverging,
                                      Reduction::sum};
};
template <class X, class... A>
constexpr auto number_fact_of() {
  if constexpr (is_refused<X>) return first_refusal<X>{};
  else return unknown_axis<typename X::mesh, A...>();
}
}  // namespace blocks

/// Every device cuts dimension Split into one piece for each device along A..., in order, and puts what it gets together
/// along dimension Concat: [..., N, ..., K, ...] -> [..., N / n, ..., n · K, ...].   V, I, R → V
template <int Split, int Concat, class... A, AnyBlock X>
constexpr auto all_to_all(const X& x) {
  using fact = typename decltype(blocks::all_to_all_fact_of<X, Split, Concat, A...>())::type;
  (void)sizeof(blocks::reported<fact, X>);
  if constexpr (!blocks::holds<fact>) {
    return Refused<fact>{};
  } else {
    using M = typename X::mesh;
    using result = blocks::moved<X, rules::Move::exchange, rules::Becomes::varying, A...>;
    constexpr index_t n = blocks::axes_named<M, A...>::size;
    auto& dev = blocks::Inside::device(x);
    const auto& local = blocks::Inside::local(x);
    if constexpr (n == 1) {
      return blocks::moved_block<result>(x, local);
    } else {
      using G = blocks::with_dim<typename X::shape, Concat,
                                 blocks::times(blocks::static_extent<typename X::shape>(Concat), n)>;
      return blocks::moved_block<result>(
          x, blocks::run_step<AllToAll<blocks::step_axes<A...>, Concat, Split>,
                              blocks::cut_over<M, X::rank, Concat, A...>, blocks::cut_over<M, X::rank, Split, A...>>(
                 dev, local, blocks::extents_with_dim<G>(x.extents(), Concat, x.extent(Concat) * n)));
    }
  }
}

/// Blocks along A go where the pairs say: `ppermute<data, Send<0, 1>, Send<1, 0>>(x)` swaps two. A device to which nobody
/// sends has zeros.   V, I, R → V
template <class A, class... Pairs, AnyBlock X>
constexpr auto ppermute(const X& x) {
  using fact = typename decltype(blocks::ppermute_fact_of<X, A, Pairs...>())::type;
  (void)sizeof(blocks::reported<fact, X>);
  if constexpr (!blocks::holds<fact>) return Refused<fact>{};
  else
    return blocks::send_blocks<blocks::moved<X, rules::Move::exchange, rules::Becomes::varying, A>>(
        x, blocks::axes_named<typename X::mesh, A>::axes, blocks::SendList<Pairs...>::pairs);
}

/// The block of device Root along A, on all of them.   V, I, R → I
template <class A, index_t Root, AnyBlock X>
constexpr auto pbroadcast(const X& x) {
  using fact = typename decltype(blocks::broadcast_fact_of<X, A, Root>())::type;
  (void)sizeof(blocks::reported<fact, X>);
  if constexpr (!blocks::holds<fact>) {
    return Refused<fact>{};
  } else {
    using named = blocks::axes_named<typename X::mesh, A>;
    std::array<std::array<index_t, 2>, static_cast<std::size_t>(named::size)> pairs{};
    for (index_t i = 0; i < named::size; ++i) pairs[static_cast<std::size_t>(i)] = {Root, i};
    return blocks::send_blocks<blocks::moved<X, rules::Move::exchange, rules::Becomes::invariant, A>>(x, named::axes,
                                                                                                      pairs);
  }
}

/// A scalar i32: where this device stands along A..., the first axis major. `like` says on which mesh. It varies over A....
template <class... A, AnyBlock X>
constexpr auto axis_index(const X& like) {
  using fact = typename decltype(blocks::number_fact_of<X, A...>())::type;
  (void)sizeof(blocks::reported<fact, X>);
  if constexpr (!blocks::holds<fact>) {
    return Refused<fact>{};
  } else {
    using M = typename X::mesh;
    using R = Block<i32, Shape<>, M, blocks::state_type<M, blocks::numbered<X, A...>>, typename X::device>;
    auto& dev = blocks::Inside::device(like);
    auto y = blocks::fresh<R>(like, Extents<Shape<>>{});
    constexpr DimAxes axes = blocks::axes_named<M, A...>::axes;
    TESS_VERB(dev, number_devices, y, axes);
    return blocks::Inside::block<typename R::varying>(dev, y);
  }
}

/// Devices along A..., a plain number.
template <class... A, AnyBlock X>
constexpr auto axis_size(const X&) {
  using fact = typename decltype(blocks::number_fact_of<X, A...>())::type;
  (void)sizeof(blocks::reported<fact, X>);
  if constexpr (!blocks::holds<fact>) return Refused<fact>{};
  else return blocks::axes_named<typename X::mesh, A...>::size;
}

}  // namespace tess
