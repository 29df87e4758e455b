// shard_map: a function of one device's blocks, run on all devices; out specs are promises, proven by types.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "shard_map/loops.hpp"

namespace tess {

/// The specs of the arguments and of the results of a shard_map.
template <class... Spec>
struct In {};
template <class... Spec>
struct Out {};

template <int>
struct argument;
template <int>
struct result;

template <class Specs, class Count>
struct shard_map_needs_a_spec_for_each_argument {
  static_assert(detail::always_false<Specs>, "[shard_map] In<...> has one PartitionSpec for every argument, in order");
  static constexpr bool ok = true;
};
template <class Specs, class Count>
struct shard_map_needs_a_spec_for_each_result {
  static_assert(detail::always_false<Specs>,
                "[shard_map] Out<...> has one PartitionSpec for every block that the function returns, in order");
  static constexpr bool ok = true;
};
template <class Lhs, class Rhs>
struct arguments_live_on_different_meshes {
  static_assert(detail::always_false<Lhs>, "[shard_map] all arguments live on one mesh");
  static constexpr bool ok = true;
};
template <class Which, class Fact>
struct in_spec_does_not_fit {
  static_assert(detail::always_false<Which>,
                "[shard_map] an in spec cuts its argument into equal blocks, which it cannot here: see the fact");
  static constexpr bool ok = true;
};
template <class Which, class Fact>
struct out_spec_does_not_fit {
  static_assert(
      detail::always_false<Which>,
      "[shard_map] an out spec puts blocks together along their dimensions, which it cannot here: see the fact");
  static constexpr bool ok = true;
};
template <class Which, class From, class To>
struct argument_is_sharded_otherwise {
  static_assert(
      detail::always_false<Which>,
      "[shard_map] the argument is sharded otherwise than In<...> says, and shard_map moves no bytes: reshard<> it "
      "to the in spec first");
  static constexpr bool ok = true;
};
template <class Which, class Kind>
struct blocks_are_addends_of_sums_only {
  static_assert(detail::always_false<Which>, "[shard_map] a pending maximum or minimum is finished first: reduce<> it");
  static constexpr bool ok = true;
};
template <class Which, class Over, class Block, class Spec>
struct copies_may_differ {
  static_assert(
      detail::always_false<Which>,
      "[shard_map] an out spec that does not name an axis promises that the blocks along it are equal, but here "
      "they may differ: psum<> or all_gather_invariant<> the block over it, or name the axis in the out spec");
  static constexpr bool ok = true;
};
template <class Which, class Over, class Block, class Spec>
struct sum_is_still_pending {
  static_assert(
      detail::always_false<Which>,
      "[shard_map] the result is an addend of a sum that is pending: psum<> it, or say Partial in the out spec");
  static constexpr bool ok = true;
};
template <class Which, class Over, class Block, class Spec>
struct nothing_is_pending {
  static_assert(
      detail::always_false<Which>,
      "[shard_map] the out spec is Partial over an axis over which the result is not: ppartial<> the block, or drop "
      "Partial");
  static constexpr bool ok = true;
};
template <class Which, class Over, class Block, class Spec>
struct gradient_marks_differ {
  static_assert(
      detail::always_false<Which>,
      "[shard_map] block and out spec must be Reduced over the same axes: preduced<> the block, or say Reduced in "
      "the out spec");
  static constexpr bool ok = true;
};

namespace blocks {

// ---- arguments become blocks

template <int I, class X, class Spec>
constexpr auto in_fact_of() {
  using S = typename X::shape;
  using M = typename X::mesh;
  if constexpr (!Shardable<S, Spec, M>)
    return std::type_identity<in_spec_does_not_fit<argument<I>, sharding_fact<S, Spec, M>>>{};
  else if constexpr (!std::is_same_v<normal_form<Spec, M, X::rank>, typename X::spec>)
    return std::type_identity<argument_is_sharded_otherwise<argument<I>, from<typename X::spec>, to<Spec>>>{};
  else if constexpr (X::sharding.kind != Reduction::sum)
    return std::type_identity<blocks_are_addends_of_sums_only<argument<I>, spec<Spec>>>{};
  else return std::type_identity<nothing_wrong>{};
}
template <class... Fact>
struct first_broken {
  using type = nothing_wrong;
};
template <class Fact, class... Rest>
struct first_broken<Fact, Rest...> : std::conditional_t<holds<Fact>, first_broken<Rest...>, std::type_identity<Fact>> {
};

template <class In, class... X>
struct arguments;
template <class... Spec, class First, class... X>
struct arguments<In<Spec...>, First, X...> {
  template <int... I>
  static constexpr auto each(std::integer_sequence<int, I...>)
      -> first_broken<typename decltype(in_fact_of<I, nth_t<I, First, X...>, Spec>())::type...>;
  static constexpr auto judge() {
    if constexpr (sizeof...(Spec) != 1 + sizeof...(X))
      return std::type_identity<
          shard_map_needs_a_spec_for_each_argument<In<Spec...>, extent<index_t{1 + sizeof...(X)}>>>{};
    else if constexpr (!(std::is_same_v<typename First::mesh, typename X::mesh> && ...))
      return std::type_identity<
          arguments_live_on_different_meshes<lhs<typename First::mesh>, rhs<over<typename X::mesh...>>>>{};
    else return decltype(each(std::make_integer_sequence<int, static_cast<int>(sizeof...(Spec))>{})){};
  }
  using fact = typename decltype(judge())::type;
};

template <class X>
using block_of_argument = Block<typename X::value_type, typename X::local_shape, typename X::mesh,
                                varying_of<typename X::spec, typename X::mesh, X::rank>, typename X::device>;
template <class D, class X>
constexpr block_of_argument<X> as_block(D& dev, const X& x) {
  using L = typename X::local_shape;
  const ShardedTensor<typename X::value_type, L, typename X::mesh, P<>, typename X::device> local(x.local_extents(),
                                                                                                  x.storage());
  return Inside::block<typename block_of_argument<X>::varying>(dev, local);
}

// ---- blocks become results

template <class L, class M, class Holder, int... D>
auto whole_shape_of(std::integer_sequence<int, D...>)
    -> Shape<times(static_extent<L>(D), parts<M>(Holder::value[D]))...>;
template <int Rank, int... D>
auto unknown_shape_of(std::integer_sequence<int, D...>) -> Shape<(D < 0 ? 0 : dyn)...>;
/// Nothing is known but the rank: what can be said about a spec before sizes.
template <int Rank>
using unknown_shape = decltype(unknown_shape_of<Rank>(std::make_integer_sequence<int, Rank>{}));

template <int I, class B, class Spec>
constexpr auto out_fact_of() {
  if constexpr (is_refused<B>) {
    return first_refusal<B>{};
  } else if constexpr (!Shardable<unknown_shape<B::rank>, Spec, typename B::mesh>) {
    return std::type_identity<
        out_spec_does_not_fit<result<I>, sharding_fact<unknown_shape<B::rank>, Spec, typename B::mesh>>>{};
  } else {
    using M = typename B::mesh;
    constexpr rules::PromiseVerdict v = rules::keeps_promise(B::state, spec_value<Spec, M, B::rank>, trivial_axes<M>());
    using at = over_axes<M, v.at>;
    if constexpr (v.fault == rules::PromiseFault::none) return std::type_identity<nothing_wrong>{};
    else if constexpr (v.fault == rules::PromiseFault::copies_may_differ)
      return std::type_identity<copies_may_differ<result<I>, at, typename B::varying, spec<Spec>>>{};
    else if constexpr (v.fault == rules::PromiseFault::sum_is_pending)
      return std::type_identity<sum_is_still_pending<result<I>, at, typename B::varying, spec<Spec>>>{};
    else if constexpr (v.fault == rules::PromiseFault::nothing_is_pending)
      return std::type_identity<nothing_is_pending<result<I>, at, typename B::varying, spec<Spec>>>{};
    else return std::type_identity<gradient_marks_differ<result<I>, at, typename B::varying, spec<Spec>>>{};
  }
}

template <class B, class Spec>
constexpr auto as_tensor(const B& b) {
  using M = typename B::mesh;
  using holder = spec_holder<Spec, M, B::rank>;
  using S = decltype(whole_shape_of<typename B::shape, M, holder>(std::make_integer_sequence<int, B::rank>{}));
  std::array<index_t, static_cast<std::size_t>(B::rank)> all{};
  for (int d = 0; d < B::rank; ++d) all[static_cast<std::size_t>(d)] = b.extent(d) * parts<M>(holder::value[d]);
  return ShardedTensor<typename B::value_type, S, M, normal_form<Spec, M, B::rank>, typename B::device>(
      Extents<S>::from(all), Inside::local(b).storage());
}

template <class X, class M, class Spec>
constexpr auto
recovered() {  // after a reported fault: a tensor of the promised spec, of any size, so that nothing cascades
  using S = unknown_shape<dims_of<Spec>>;
  if constexpr (Shardable<S, Spec, M>) return ShardedTensor<typename X::value_type, S, M, Spec, typename X::device>{};
  else return ShardedTensor<typename X::value_type, S, M, P<>, typename X::device>{};
}

template <class Specs, class Results>
struct promises;
template <class... Spec, class... B>
struct promises<Out<Spec...>, Carry<B...>> {
  template <int... I>
  static constexpr auto each(std::integer_sequence<int, I...>)
      -> first_broken<typename decltype(out_fact_of<I, nth_t<I, B...>, nth_t<I, Spec...>>())::type...>;
  static constexpr auto judge() {
    if constexpr (sizeof...(Spec) != sizeof...(B) && !any_refused<B...>)
      return std::type_identity<
          shard_map_needs_a_spec_for_each_result<Out<Spec...>, extent<static_cast<index_t>(sizeof...(B))>>>{};
    else if constexpr (any_refused<B...>) return first_refusal<B...>{};
    else return decltype(each(std::make_integer_sequence<int, static_cast<int>(sizeof...(B))>{})){};
  }
  using fact = typename decltype(judge())::type;

  template <class X, class M>
  static constexpr auto recover() {
    return uncarried(Carry<decltype(recovered<X, M, Spec>())...>(recovered<X, M, Spec>()...));
  }
  static constexpr auto tensors(const Carry<B...>& blocks) {
    return std::apply(
        [](const B&... b) { return uncarried(Carry<decltype(as_tensor<B, Spec>(b))...>(as_tensor<B, Spec>(b)...)); },
        blocks);
  }
};

/// What a shard_map gives that is refused: on Judge the fact, elsewhere something valid.
template <class Fact, class Promises, class X>
constexpr auto refused_result() {
  if constexpr (std::is_same_v<typename X::device, Judge>) return Refused<Fact>{};
  else return Promises::template recover<X, typename X::mesh>();
}
template <class Out, class Blocks>
using promises_of = promises<Out, decltype(carried(std::declval<Blocks>()))>;

template <class Out>
struct no_results;
template <class... Spec>
struct no_results<Out<Spec...>> : promises<Out<Spec...>, Carry<Refused<Spec>...>> {};
}  // namespace blocks

/// Runs f on every device of the mesh, on its blocks of the arguments, and puts the blocks that it returns together:
///   shard_map<In<P<data>>, Out<P<>>>(dev, [](const auto& x) { return psum<data>(x); }, x)
/// In: argument i has spec i, and its block the local shape. An axis that the spec does not name: blocks along it are equal.
/// Out: blocks are concatenated along named axes; an axis that the spec does not name is a promise that the blocks along it
/// are equal, and a false promise does not compile. No bytes move but in the collectives that f names. f returns a block, or
/// `carry(a, b)`, several, of which tensors are made in order. Size-1 axes keep every promise.
/// Source: JAX's shard_map (jax/_src/shard_map.py, check_vma=True).
template <class InSpecs, class OutSpecs, class D, class F, AnyTensor First, AnyTensor... X>
constexpr auto shard_map(D& dev, F f, const First& first, const X&... x) {
  using in_fact = typename blocks::arguments<InSpecs, First, X...>::fact;
  (void)sizeof(blocks::reported<in_fact, First>);
  if constexpr (!blocks::holds<in_fact>) {
    return blocks::refused_result<in_fact, blocks::no_results<OutSpecs>, First>();
  } else {
    using Blocks = decltype(f(blocks::as_block(dev, first), blocks::as_block(dev, x)...));
    using promises = blocks::promises_of<OutSpecs, Blocks>;
    using fact = typename promises::fact;
    if constexpr (!blocks::carries_refusal<Blocks>) (void)sizeof(blocks::reported<fact, First>);
    if constexpr (!blocks::holds<fact>) return blocks::refused_result<fact, blocks::no_results<OutSpecs>, First>();
    else return promises::tensors(blocks::carried(f(blocks::as_block(dev, first), blocks::as_block(dev, x)...)));
  }
}

/// The rule that shard_map<In, Out>(dev, F, X...) breaks, or `nothing_wrong`: a question, so X are tensors of Judge.
template <class InSpecs, class OutSpecs, class F, AnyTensor... X>
using shard_map_fact = typename blocks::first_refusal<decltype(shard_map<InSpecs, OutSpecs>(
    std::declval<Judge&>(), std::declval<F>(), std::declval<const X&>()...))>::type;

}  // namespace tess
