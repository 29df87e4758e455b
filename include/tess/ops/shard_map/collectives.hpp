// The collectives of shard_map: what devices along an axis do together, each typed by what it does to the axis.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../../comm/collectives.hpp"
#include "local.hpp"

namespace tess {

template <class Axes, class Block>
struct sum_over_an_axis_of_equal_blocks {
  static_assert(
      detail::always_false<Axes>,
      "[shard_map] the blocks along this axis are equal, so their sum would only multiply them by the axis size: "
      "drop the axis from the collective, or pvary<> the block first if that is meant");
  static constexpr bool ok = true;
};
template <class Axes, class Block>
struct blocks_are_still_pending {
  static_assert(
      detail::always_false<Axes>,
      "[shard_map] the blocks along this axis are addends of a pending sum, which this collective would mix up: "
      "psum<> or psum_scatter<> it");
  static constexpr bool ok = true;
};
template <class Axes, class Block>
struct blocks_differ_along_the_axis {
  static_assert(detail::always_false<Axes>,
                "[shard_map] the blocks along this axis differ, and a cast cannot make them equal: psum<> them or "
                "all_gather_invariant<> them");
  static constexpr bool ok = true;
};
template <class Axes, class Block>
struct equal_blocks_are_no_addends {
  static_assert(
      detail::always_false<Axes>,
      "[shard_map] the blocks along this axis are equal, and as addends of a pending sum they would count once a "
      "device: pvary<> the block first if that is meant");
  static constexpr bool ok = true;
};
template <class Axes, class Block>
struct collective_where_devices_go_different_ways {
  static_assert(
      detail::always_false<Axes>,
      "[shard_map] devices along this axis went different ways in a cond or while_loop, and those that are not "
      "here would be waited for for ever: move the collective out of the branch");
  static constexpr bool ok = true;
};
template <class Axes>
struct collective_names_an_axis_twice {
  static_assert(detail::always_false<Axes>, "[shard_map] a collective names a mesh axis twice");
  static constexpr bool ok = true;
};
namespace blocks {

template <class M, class... A>
struct axes_named {
  static constexpr Entry entry = read_axes<M, A...>(EntryKind::dimension);
  static constexpr DimAxes axes = entry.axes;
  static constexpr unsigned mask = axes.mask();
  static constexpr index_t size = parts<M>(axes);
  static constexpr bool twice = [] {
    unsigned seen = 0;
    for (int i = 0; i < axes.count; ++i) {
      if (seen >> axes[i] & 1u) return true;
      seen |= 1u << axes[i];
    }
    return false;
  }();
};

template <class M>
constexpr auto unknown_axis() {
  return std::type_identity<nothing_wrong>{};
}
template <class M, class A, class... Rest>
constexpr auto unknown_axis() {
  if constexpr (!M::template has_axis<A>) return std::type_identity<mesh_has_no_such_axis<A, on_mesh<M>>>{};
  else if constexpr (!M::template has<A>) return std::type_identity<mesh_axis_is_not_divided_there<A, on_mesh<M>>>{};
  else return unknown_axis<M, Rest...>();
}

template <rules::MoveFault F, class Over, class V>
constexpr auto move_fault() {
  if constexpr (F == rules::MoveFault::none) return std::type_identity<nothing_wrong>{};
  else if constexpr (F == rules::MoveFault::operand_is_equal)
    return std::type_identity<sum_over_an_axis_of_equal_blocks<Over, V>>{};
  else if constexpr (F == rules::MoveFault::operand_is_pending)
    return std::type_identity<blocks_are_still_pending<Over, V>>{};
  else if constexpr (F == rules::MoveFault::operand_is_varying)
    return std::type_identity<blocks_differ_along_the_axis<Over, V>>{};
  else if constexpr (F == rules::MoveFault::operand_is_not_varying)
    return std::type_identity<equal_blocks_are_no_addends<Over, V>>{};
  else return std::type_identity<collective_where_devices_go_different_ways<Over, V>>{};
}

template <class X, rules::Move What, rules::Becomes To, class... A>
struct moved {
  static constexpr rules::MoveVerdict verdict =
      rules::move(X::state, axes_named<typename X::mesh, A...>::mask, What, To);
  static constexpr VaryingValue value = verdict.result;
};
template <class X, rules::Move What, rules::Becomes To, class... A>
constexpr auto move_fact_of() {
  if constexpr (is_refused<X>) {
    return first_refusal<X>{};
  } else {
    using M = typename X::mesh;
    using unknown = typename decltype(unknown_axis<M, A...>())::type;
    if constexpr (!holds<unknown>) return std::type_identity<unknown>{};
    else if constexpr (axes_named<M, A...>::twice)
      return std::type_identity<collective_names_an_axis_twice<over<A...>>>{};
    else {
      constexpr rules::MoveVerdict v = moved<X, What, To, A...>::verdict;
      return move_fault<v.fault, over_axes<M, v.at>, typename X::varying>();
    }
  }
}
/// The broken rule of a collective or cast of X over axes A....
template <class X, rules::Move What, rules::Becomes To, class... A>
using move_fact = typename decltype(move_fact_of<X, What, To, A...>())::type;

/// How the library sees it: a tensor whose dimension Dim (none: -1) is sharded over A..., or which is pending over a mask.
template <class M, int Rank, int Dim, class... A>
struct cut_over {
  static constexpr SpecValue value = [] {
    SpecValue s;
    s.rank = Rank;
    if (Dim >= 0) s[Dim] = axes_named<M, A...>::axes;
    return s;
  }();
};
template <int Rank, unsigned Mask, Reduction How>
struct pending_over {
  static constexpr SpecValue value = [] {
    SpecValue s;
    s.rank = Rank;
    s.pend(Mask, How);
    return s;
  }();
};

/// The same where the block is cut along dimension Dim.
template <class X, int Dim, bool Cut, rules::Move What, rules::Becomes To, class... A>
constexpr auto dim_move_fact_of() {
  using fact = move_fact<X, What, To, A...>;
  if constexpr (!holds<fact>) {
    return std::type_identity<fact>{};
  } else if constexpr (!holds<dims_fact<X, Dim>>) {
    return std::type_identity<dims_fact<X, Dim>>{};
  } else {
    using M = typename X::mesh;
    using cut = spec_type<M, cut_over<M, X::rank, Cut ? Dim : -1, A...>>;
    return std::type_identity<sharding_fact<typename X::shape, cut, M>>{};
  }
}
template <class X, int Dim, bool Cut, rules::Move What, rules::Becomes To, class... A>
using dim_move_fact = typename decltype(dim_move_fact_of<X, Dim, Cut, What, To, A...>())::type;

// ---- the step of the library that a collective is: the block is one shard of a tensor over these axes alone

/// `x`, the array of every device, through one Step: from shards under spec From of a tensor of shape G to those under To.
template <class Step, class From, class To, class D, class T, class L, class M, class S, class G>
constexpr auto run_step(D& dev, const ShardedTensor<T, L, M, S, D>& x, const Extents<G>& whole) {
  const ShardedTensor<T, G, M, spec_type<M, From>, D> source(whole, x.storage());
  auto target = make<ShardedTensor<T, G, M, spec_type<M, To>, D>>(dev, whole);
  TESS_VERB(dev, collective, Step{}, target, source);
  using Out = ShardedTensor<T, typename decltype(target)::local_shape, M, P<>, D>;
  return Out(target.local_extents(), target.storage());
}

template <class... A>
struct axes_of_step {
  using type = Axes<A...>;
};
template <class A>
struct axes_of_step<A> {
  using type = A;
};
template <class... A>
using step_axes = typename axes_of_step<A...>::type;

constexpr index_t times(index_t extent, index_t n) { return extent == dyn ? dyn : extent * n; }

template <Reduction How, unsigned Mask, class D, class X>
constexpr auto reduce_over(D& dev, const X& x) {
  using M = typename X::mesh;
  if constexpr (parts<M>(axes_of_mask(Mask)) == 1) {
    return x;
  } else {
    using step = AllReduce<typename wrap_names<axes_of_step, M, mask_holder<M, Mask>>::type>;
    return run_step<step, pending_over<X::rank, Mask, How>, cut_over<M, X::rank, -1>>(dev, x, x.extents());
  }
}
template <int Dim, class... A, class D, class X>
constexpr auto gather_over(D& dev, const X& x) {
  using M = typename X::mesh;
  constexpr index_t n = axes_named<M, A...>::size;
  if constexpr (n == 1) {
    return x;
  } else {
    using G = with_dim<typename X::shape, Dim, times(static_extent<typename X::shape>(Dim), n)>;
    return run_step<AllGather<step_axes<A...>, Dim>, cut_over<M, X::rank, Dim, A...>, cut_over<M, X::rank, -1>>(
        dev, x, extents_with_dim<G>(x.extents(), Dim, x.extent(Dim) * n));
  }
}
template <int Dim, class... A, class D, class X>
constexpr auto scatter_over(D& dev, const X& x) {
  using M = typename X::mesh;
  if constexpr (axes_named<M, A...>::size == 1) return x;
  else
    return run_step<ReduceScatter<step_axes<A...>, Dim>,
                    pending_over<X::rank, axes_named<M, A...>::mask, Reduction::sum>, cut_over<M, X::rank, Dim, A...>>(
        dev, x, x.extents());
}
template <int Dim, class... A, class D, class X>
constexpr auto slice_over(D& dev, const X& x) {
  using M = typename X::mesh;
  if constexpr (axes_named<M, A...>::size == 1) return x;
  else
    return run_step<Slice<step_axes<A...>, Dim>, cut_over<M, X::rank, -1>, cut_over<M, X::rank, Dim, A...>>(
        dev, x, x.extents());
}

/// The local array of a collective's result as a block in the state that the rule says.
template <class Moved, class X, class Y>
constexpr auto moved_block(const X& x, const Y& y) {
  return Inside::block<state_type<typename X::mesh, Moved>>(Inside::device(x), y);
}

template <rules::Move What, rules::Becomes To, class... A, class X>
constexpr auto cast_block(const X& x) {
  using fact = move_fact<X, What, To, A...>;
  (void)sizeof(reported<fact, X>);
  if constexpr (!holds<fact>) return Refused<fact>{};
  else return Inside::restate<state_type<typename X::mesh, moved<X, What, To, A...>>>(x);
}
template <rules::Move What, Reduction How, class... A, class X>
constexpr auto all_reduce_block(const X& x) {
  using fact = move_fact<X, What, rules::Becomes::invariant, A...>;
  (void)sizeof(reported<fact, X>);
  if constexpr (!holds<fact>) {
    return Refused<fact>{};
  } else {
    constexpr unsigned differ = (X::state.varying | X::state.partial) & axes_named<typename X::mesh, A...>::mask;
    return moved_block<moved<X, What, rules::Becomes::invariant, A...>>(
        x, reduce_over<How, differ>(Inside::device(x), Inside::local(x)));
  }
}
template <rules::Becomes To, int Dim, class... A, class X>
constexpr auto gather_block(const X& x) {
  using fact = dim_move_fact<X, Dim, false, rules::Move::gather, To, A...>;
  (void)sizeof(reported<fact, X>);
  if constexpr (!holds<fact>) return Refused<fact>{};
  else
    return moved_block<moved<X, rules::Move::gather, To, A...>>(
        x, gather_over<Dim, A...>(Inside::device(x), Inside::local(x)));
}
}  // namespace blocks

// ---- casts: the same elements in another state, no bytes. (In training their gradients move bytes: sharding/dual.hpp.)

/// Equal blocks are from now on taken for blocks that may differ along A....   I, R → V
template <class... A, AnyBlock X>
constexpr auto pvary(const X& x) {
  return blocks::cast_block<rules::Move::vary, rules::Becomes::varying, A...>(x);
}
/// Equal blocks get gradients that are pending sums over A....   I → R
template <class... A, AnyBlock X>
constexpr auto preduced(const X& x) {
  return blocks::cast_block<rules::Move::reduce_cast, rules::Becomes::reduced, A...>(x);
}
/// Blocks that differ are from now on addends of a sum over A.... (JAX: pcast to 'unreduced').   V → P
template <class... A, AnyBlock X>
constexpr auto ppartial(const X& x) {
  return blocks::cast_block<rules::Move::pend, rules::Becomes::pending, A...>(x);
}

// ---- all-reduce

/// The sum of the blocks along A....   V, P → I. Refused over an axis along which the blocks are equal.
template <class... A, AnyBlock X>
constexpr auto psum(const X& x) {
  return blocks::all_reduce_block<rules::Move::sum, Reduction::sum, A...>(x);
}
/// Elementwise the largest, or the smallest, of the blocks along A....   V → I; equal blocks stay what they are, for free.
template <class... A, AnyBlock X>
constexpr auto pmax(const X& x) {
  return blocks::all_reduce_block<rules::Move::extreme, Reduction::max, A...>(x);
}
template <class... A, AnyBlock X>
constexpr auto pmin(const X& x) {
  return blocks::all_reduce_block<rules::Move::extreme, Reduction::min, A...>(x);
}

/// The mean of the blocks along A....   V, P → I; equal blocks are their own mean, for free.
template <class... A, AnyBlock X>
constexpr auto pmean(const X& x) {
  using fact = blocks::move_fact<X, rules::Move::mean, rules::Becomes::invariant, A...>;
  if constexpr (!blocks::holds<fact>) {
    return blocks::all_reduce_block<rules::Move::mean, Reduction::sum, A...>(x);
  } else {
    using M = typename X::mesh;
    constexpr unsigned summed = (X::state.varying | X::state.partial) & blocks::axes_named<M, A...>::mask;
    constexpr index_t addends = parts<M>(blocks::axes_of_mask(summed));
    const auto total = blocks::all_reduce_block<rules::Move::mean, Reduction::sum, A...>(x);
    if constexpr (addends == 1) return total;
    else return total / addends;
  }
}

// ---- gather and scatter

/// Blocks along A... put together along dimension Dim, the first axis outermost: [..., N, ...] -> [..., n · N, ...].
/// All devices get the same, but may do different things with it: its gradient is psum_scatter.   V, I, R → V
template <int Dim, class... A, AnyBlock X>
constexpr auto all_gather(const X& x) {
  return blocks::gather_block<rules::Becomes::varying, Dim, A...>(x);
}
/// The same, and known to be equal.   V, I, R → I
template <int Dim, class... A, AnyBlock X>
constexpr auto all_gather_invariant(const X& x) {
  return blocks::gather_block<rules::Becomes::invariant, Dim, A...>(x);
}
/// The same, and equal with a gradient that is a pending sum.   V, I, R → R
template <int Dim, class... A, AnyBlock X>
constexpr auto all_gather_reduced(const X& x) {
  return blocks::gather_block<rules::Becomes::reduced, Dim, A...>(x);
}

/// The sum of the blocks along A..., of which every device gets its part of dimension Dim: [..., N, ...] -> [..., N / n, ...].
/// V, P → V
template <int Dim, class... A, AnyBlock X>
constexpr auto psum_scatter(const X& x) {
  using fact = blocks::dim_move_fact<X, Dim, true, rules::Move::scatter, rules::Becomes::varying, A...>;
  (void)sizeof(blocks::reported<fact, X>);
  if constexpr (!blocks::holds<fact>) return Refused<fact>{};
  else
    return blocks::moved_block<blocks::moved<X, rules::Move::scatter, rules::Becomes::varying, A...>>(
        x, blocks::scatter_over<Dim, A...>(blocks::Inside::device(x), blocks::Inside::local(x)));
}

/// Every device keeps its own part of dimension Dim of a block that is equal along A...: no bytes.   I, R → V
template <int Dim, class... A, AnyBlock X>
constexpr auto own_part(const X& x) {
  using fact = blocks::dim_move_fact<X, Dim, true, rules::Move::slice, rules::Becomes::varying, A...>;
  (void)sizeof(blocks::reported<fact, X>);
  if constexpr (!blocks::holds<fact>) return Refused<fact>{};
  else
    return blocks::moved_block<blocks::moved<X, rules::Move::slice, rules::Becomes::varying, A...>>(
        x, blocks::slice_over<Dim, A...>(blocks::Inside::device(x), blocks::Inside::local(x)));
}

}  // namespace tess
