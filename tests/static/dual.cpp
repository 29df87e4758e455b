// Forward and backward: the table of local types, entry by entry, as spmd_types writes it (docs/design.md).
// SPDX-License-Identifier: Apache-2.0
#include <concepts>

#include <tess/comm/both_ways.hpp>
#include <tess/sharding/spec_value.hpp>

namespace transitions {

using namespace tess::spmd;

template <class A, class B>
concept is = std::same_as<A, B>;

// A value and its gradient: R and P are duals, the others are their own.
static_assert(is<dual<R>, P> && is<dual<P>, R> && is<dual<I>, I> && is<dual<V>, V>);

// SRC\DST      R                             I                             V                             P
// R            -                             convert                       reinterpret | convert         reinterpret | convert
static_assert(is<one_step<R, R>, void> && is<one_step<R, I>, Convert<R, I>> && is<one_step<R, V>, Convert<R, V>> &&
              is<one_step<R, P>, Convert<R, P>>);
static_assert(is<one_step<R, R, true>, void> && is<one_step<R, I, true>, void> &&
              is<one_step<R, V, true>, Reinterpret<R, V>> && is<one_step<R, P, true>, Reinterpret<R, P>>);
// I            convert                       -                             reinterpret | convert         convert
static_assert(is<one_step<I, R>, Convert<I, R>> && is<one_step<I, I>, void> && is<one_step<I, V>, Convert<I, V>> &&
              is<one_step<I, P>, Convert<I, P>>);
static_assert(is<one_step<I, R, true>, void> && is<one_step<I, I, true>, void> &&
              is<one_step<I, V, true>, Reinterpret<I, V>> && is<one_step<I, P, true>, void>);
// V            all_gather(R)                 all_gather(I)                 all_to_all                    reinterpret | convert
static_assert(is<one_step<V, R>, AllGather<R>> && is<one_step<V, I>, AllGather<I>> && is<one_step<V, V>, AllToAll> &&
              is<one_step<V, P>, Convert<V, P>>);
static_assert(is<one_step<V, R, true>, void> && is<one_step<V, I, true>, void> && is<one_step<V, V, true>, void> &&
              is<one_step<V, P, true>, Reinterpret<V, P>>);
// P            all_reduce(R)                 all_reduce(I)                 reduce_scatter                -
static_assert(is<one_step<P, R>, AllReduce<R>> && is<one_step<P, I>, AllReduce<I>> &&
              is<one_step<P, V>, ReduceScatter> && is<one_step<P, P>, void>);
static_assert(is<one_step<P, R, true>, void> && is<one_step<P, I, true>, void> && is<one_step<P, V, true>, void> &&
              is<one_step<P, P, true>, void>);

// Forward                 Backward
// R -> I convert          I -> P convert
// R -> V reinterpret      V -> P reinterpret
// R -> V convert          V -> P convert
// R -> P reinterpret      R -> P reinterpret
// R -> P convert          R -> P convert            (its own)
static_assert(is<backward_of<Convert<R, I>>, Convert<I, P>>);
static_assert(is<backward_of<Reinterpret<R, V>>, Reinterpret<V, P>>);
static_assert(is<backward_of<Convert<R, V>>, Convert<V, P>>);
static_assert(is<backward_of<Reinterpret<R, P>>, Reinterpret<R, P>>);
static_assert(is<backward_of<Convert<R, P>>, Convert<R, P>>);
// I -> R convert          P -> I all_reduce(I)
// I -> V convert          V -> I all_gather(I)
// I -> P convert          R -> I convert
static_assert(is<backward_of<Convert<I, R>>, AllReduce<I>>);
static_assert(is<backward_of<Convert<I, V>>, AllGather<I>>);
static_assert(is<backward_of<Convert<I, P>>, Convert<R, I>>);
// V -> R all_gather(R)    P -> V reduce_scatter
// V -> I all_gather(I)    I -> V convert
// V -> V all_to_all       V -> V all_to_all
// V -> P reinterpret      R -> V reinterpret
// V -> P convert          R -> V convert
static_assert(is<backward_of<AllGather<R>>, ReduceScatter>);
static_assert(is<backward_of<AllGather<I>>, Convert<I, V>>);
static_assert(is<backward_of<AllToAll>, AllToAll>);
static_assert(is<backward_of<Reinterpret<V, P>>, Reinterpret<R, V>>);
static_assert(is<backward_of<Convert<V, P>>, Convert<R, V>>);
// P -> R all_reduce(R)    P -> R all_reduce(R)
// P -> I all_reduce(I)    I -> R convert
// P -> V reduce_scatter   V -> R all_gather(R)
static_assert(is<backward_of<AllReduce<R>>, AllReduce<R>>);
static_assert(is<backward_of<AllReduce<I>>, Convert<I, R>>);
static_assert(is<backward_of<ReduceScatter>, AllGather<R>>);
// I -> V reinterpret goes over R:  V -> P reinterpret, P -> I all_reduce(I)
static_assert(is<backward_of<Reinterpret<I, V>>, Then<Reinterpret<V, P>, AllReduce<I>>>);

// [quote:transposes]
// The transposes of JAX's collectives in shard_map follow from that table (sharding.md section 1.4).
static_assert(is<backward_of<psum>, pvary> && is<backward_of<pvary>, psum>);
static_assert(is<backward_of<all_gather>, psum_scatter> && is<backward_of<psum_scatter>, all_gather>);
static_assert(is<backward_of<all_to_all>, all_to_all>);
static_assert(is<backward_of<own_part>, all_gather_invariant> && is<backward_of<all_gather_invariant>, own_part>);
static_assert(is<backward_of<all_gather_reduced>, psum_scatter_of_partial> &&
              is<backward_of<psum_scatter_of_partial>, all_gather_reduced>);
static_assert(is<backward_of<psum_of_partial>, preduced> && is<backward_of<preduced>, psum_of_partial>);
static_assert(is<backward_of<ppartial>, reduced_vary> && is<backward_of<reduced_vary>, ppartial>);
// [/quote]

// Backward of backward is forward, and leads between the duals of the ends.
template <class... T>
constexpr bool is_involution() {
  return (is<backward_of<backward_of<T>>, T> && ...);
}
static_assert(
    is_involution<Convert<R, I>, Reinterpret<R, V>, Convert<R, V>, Reinterpret<R, P>, Convert<R, P>, Convert<I, R>,
                  Convert<I, V>, Convert<I, P>, AllGather<R>, AllGather<I>, AllToAll, Reinterpret<V, P>, Convert<V, P>,
                  AllReduce<R>, AllReduce<I>, ReduceScatter, psum, pvary, all_gather, psum_scatter>());
template <class... T>
constexpr bool joins_the_duals() {
  return ((is<from_type<backward_of<T>>, dual<to_type<T>>> && is<to_type<backward_of<T>>, dual<from_type<T>>>)&&...);
}
static_assert(joins_the_duals<Convert<R, I>, Convert<R, V>, Convert<I, V>, AllGather<R>, AllReduce<I>, ReduceScatter,
                              AllToAll, Reinterpret<I, V>, psum, pvary, all_gather, psum_scatter>());

// What is free forward may cost in the gradient: elements received by one of 4 devices whose block has 16.
static_assert(both_ways<Convert<I, R>>(16, 4) == BothWays{0, 24});  // an all-reduce
static_assert(both_ways<AllReduce<I>>(16, 4) == BothWays{24, 0});   // which is free the other way
static_assert(both_ways<Convert<I, V>>(16, 4) == BothWays{0, 12});  // own part of 4; gradients of 4 are gathered
static_assert(both_ways<AllGather<R>>(16, 4) == BothWays{48, 48});  // reduce-scatter of 64
static_assert(both_ways<AllToAll>(16, 4) == BothWays{12, 12});
static_assert(both_ways<Reinterpret<V, P>>(16, 4) == BothWays{0, 0});
static_assert(both_ways<psum>(16, 4) == BothWays{24, 0} && both_ways<pvary>(16, 4) == BothWays{0, 24});
// Megatron's pairs (tensor_parallel/mappings.py): copy_to is free and all-reduces gradients, reduce_from the reverse;
// with sequences sharded, the gather's gradient is a reduce-scatter: the same bytes in two halves.
using copy_to_tensor = Convert<I, R>;
using reduce_from_tensor = AllReduce<I>;
using gather_from_sequence = AllGather<R>;
using reduce_scatter_to_sequence = ReduceScatter;
static_assert(both_ways<copy_to_tensor>(64, 4).backward + both_ways<reduce_from_tensor>(64, 4).forward ==
              both_ways<gather_from_sequence>(16, 4).forward + both_ways<gather_from_sequence>(16, 4).backward +
                  both_ways<reduce_scatter_to_sequence>(64, 4).forward +
                  both_ways<reduce_scatter_to_sequence>(64, 4).backward);

}  // namespace transitions

namespace specs {

using namespace tess;
struct data;
struct model;
template <class S, class C>
concept has_cotangent = std::same_as<cotangent<S>, C>;

// What is sharded stays so, what is whole stays so; Partial and Reduced change places.
static_assert(has_cotangent<P<data, None>, P<data, None>> && has_cotangent<P<>, P<>>);
static_assert(has_cotangent<P<data, Partial<model>>, P<data, Reduced<model>>>);
static_assert(has_cotangent<P<None, data, Reduced<model>>, P<None, data, Partial<model>>>);
static_assert(has_cotangent<P<None, Partial<data>, Reduced<model>>, P<None, Partial<model>, Reduced<data>>>);
static_assert(has_cotangent<P<Axes<data, model>>, P<Axes<data, model>>>);

}  // namespace specs
