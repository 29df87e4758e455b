// Varying: how the block of one device relates to its neighbours' along every mesh axis, as a type and as a value.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "rules/elementwise.hpp"
#include "spec_value.hpp"

namespace tess {

/// Inside shard_map every device has a block. Along an axis that is not named here the blocks are equal, which the types
/// prove; along `Names` they may differ. Behind them `Partial<...>`: the blocks are addends of the value, and
/// `Reduced<...>`: equal, with a gradient that is Partial. `Varying<data, Partial<model>>`.
/// Source: JAX's varying manual axes (docs/new_docs/201/shard-map.md); the letters V, P, R, I of meta-pytorch/spmd_types.
template <class... Names>
struct Varying {};

/// Behind the rest, in the branches of a `cond` or `while_loop` whose predicate varies over these axes: devices along
/// them go different ways, and would wait for each other for ever in a collective.
template <class... Names>
struct Diverging {};

/// The same as a plain value, one bit a position of the mesh. An axis is in one of the first three masks at most; in none
/// of them it is invariant.
struct VaryingValue {
  unsigned varying = 0, partial = 0, reduced = 0;
  unsigned diverging = 0;
  Reduction kind = Reduction::sum;  // of the partial ones: always sum

  constexpr bool operator==(const VaryingValue&) const = default;
  constexpr unsigned invariant() const { return ~(varying | partial | reduced); }
};

namespace detail {

struct VaryingEntry {
  unsigned varying = 0, partial = 0, reduced = 0, diverging = 0;
};
template <class M, class E>
constexpr VaryingEntry varying_entry() {
  constexpr Entry e = read_entry<M, E>::value;
  const unsigned mask = e.axes.mask();
  if (e.kind == EntryKind::partial) return {0, mask, 0, 0};
  if (e.kind == EntryKind::reduced) return {0, 0, mask, 0};
  return {mask, 0, 0, 0};
}
template <class M, class E>
struct read_varying_entry {
  static constexpr VaryingEntry value = varying_entry<M, E>();
};
template <class M, class... N>
struct read_varying_entry<M, Diverging<N...>> {
  static constexpr VaryingEntry value{0, 0, 0, read_axes<M, N...>(EntryKind::dimension).axes.mask()};
};
template <class M, class... E>
constexpr VaryingValue read_varying(Varying<E...>) {
  VaryingValue v;
  [[maybe_unused]] auto add = [&v](const VaryingEntry& e) {
    v.varying |= e.varying, v.partial |= e.partial, v.reduced |= e.reduced, v.diverging |= e.diverging;
  };
  (add(read_varying_entry<M, E>::value), ...);
  return v;
}

template <class Holder>
struct varying_axes {
  static constexpr DimAxes axes = axes_of_mask(Holder::value.varying);
};
template <class Holder>
struct diverging_axes {
  static constexpr DimAxes axes = axes_of_mask(Holder::value.diverging);
};
template <class... N, class... Beside>
auto append_to_varying(Varying<N...>, P<Beside...>) -> Varying<N..., Beside...>;
template <class M, class Holder>
auto varying_from() {
  using names = wrap_names<Varying, M, varying_axes<Holder>>;
  using pending = decltype(with_reduced<M, Holder>(with_partial<M, Holder>(P<>{})));
  using all = decltype(append_to_varying(names{}, pending{}));
  if constexpr (Holder::value.diverging == 0) return all{};
  else return decltype(append_to_varying(all{}, P<wrap_names<Diverging, M, diverging_axes<Holder>>>{})){};
}
template <class S, class M, int Rank>
struct block_state {
  static constexpr VaryingValue value = [] {
    constexpr SpecValue s = spec_value<S, M, Rank>;
    VaryingValue v;
    v.varying = s.sharded(), v.partial = s.partial, v.reduced = s.reduced;
    return v;
  }();
};
}  // namespace detail

template <class V, AnyMesh M>
inline constexpr VaryingValue varying_value = detail::read_varying<M>(V{});

/// The Varying<...> that has the value `Holder::value` on mesh M; its axes in mesh order.
template <AnyMesh M, class Holder>
using varying_type = decltype(detail::varying_from<M, Holder>());

/// What the blocks of a tensor with spec S are: varying along the axes that shard it.
template <AnySpec S, AnyMesh M, int Rank>
using varying_of = varying_type<M, detail::block_state<S, M, Rank>>;

namespace rules {

enum class JoinFault : unsigned char {
  none,
  function_of_pending,    // f of a pending sum, where f is not linear
  pending_plus_finished,  // every device would add the finished operand
  product_of_pending,     // two factors are pending
  pending_times_varying,  // the addends would get different factors, or be chosen differently
};
struct JoinVerdict {
  JoinFault fault = JoinFault::none;
  unsigned at = 0;  // the axis where the rule is broken, one bit
  VaryingValue result{};
};

/// f(x0, x1, ...), axis by axis. Invariant with anything becomes the other (a cast without bytes, whose gradient is summed):
///   I·I → I   I·V → V   I·R → R   R·R → R   R·V → V   V·V → V   P + P → P   P · R → P   P · I → P
/// What else a pending operand may meet, f's algebra says, as it does for whole tensors (rules/elementwise.hpp).
/// Source: spmd_types docs/local_spmd_types.md; JAX inserts the same casts (lax.pvary).
constexpr JoinVerdict join(const VaryingValue* x, int count, const Algebra& f) {
  JoinVerdict v;
  for (int i = 0; i < count; ++i) {
    v.result.varying |= x[i].varying, v.result.partial |= x[i].partial;
    v.result.reduced |= x[i].reduced, v.result.diverging |= x[i].diverging;
  }
  v.result.varying &= ~v.result.partial;
  v.result.reduced &= ~(v.result.partial | v.result.varying);
  for (int a = 0; a < max_mesh_axes; ++a) {
    const unsigned bit = 1u << a;
    unsigned pending = 0, varying = 0;  // one bit an operand
    for (int i = 0; i < count; ++i) {
      if (x[i].partial & bit) pending |= 1u << i;
      if (x[i].varying & bit) varying |= 1u << i;
    }
    const bool one = (pending & (pending - 1)) == 0, alone = (pending & ~f.alone) == 0;
    const bool linear = pending == f.together || (one && alone), addend = (pending & ~f.together) == 0;
    if (pending == 0 || (linear && !varying)) continue;
    return {linear   ? JoinFault::pending_times_varying
            : alone  ? JoinFault::product_of_pending
            : addend ? JoinFault::pending_plus_finished
                     : JoinFault::function_of_pending,
            bit,
            {}};
  }
  return v;
}

/// What a collective over `axes` asks of its operand, and what becomes of these axes.
enum class Move : unsigned char {
  sum,          // psum: varying or pending -> invariant
  mean,         // pmean: anything -> invariant
  extreme,      // pmax, pmin: anything but pending -> invariant
  gather,       // all_gather: anything but pending -> `to`
  scatter,      // psum_scatter: varying or pending -> varying
  exchange,     // all_to_all, ppermute: anything but pending -> varying
  slice,        // own_part: equal -> varying, no bytes
  vary,         // pvary: anything but pending -> varying, no bytes
  reduce_cast,  // preduced: invariant -> reduced, no bytes
  pend,         // ppartial: varying -> pending, no bytes
};
enum class Becomes : unsigned char { varying, invariant, reduced, pending };

enum class MoveFault : unsigned char {
  none,
  operand_is_equal,
  operand_is_pending,
  operand_is_varying,
  operand_is_not_varying,
  diverging
};
struct MoveVerdict {
  MoveFault fault = MoveFault::none;
  unsigned at = 0;
  VaryingValue result{};
};

/// One rule for all collectives, over the state of the operand. A sum over an axis along which the operand is equal would
/// multiply it by the axis size, and is refused (JAX accepts it).
constexpr MoveVerdict move(const VaryingValue& x, unsigned axes, Move what, Becomes to) {
  const bool cast = what == Move::vary || what == Move::reduce_cast || what == Move::pend || what == Move::slice;
  const unsigned equal = axes & ~(x.varying | x.partial), pending = axes & x.partial, varying = axes & x.varying;
  if (!cast && (axes & x.diverging)) return {MoveFault::diverging, axes & x.diverging, {}};
  switch (what) {
    case Move::sum:
    case Move::scatter:
      if (equal) return {MoveFault::operand_is_equal, equal, {}};
      break;
    case Move::mean:
      break;
    case Move::extreme:  // of sums: along whichever axis they are pending
      if (x.partial) return {MoveFault::operand_is_pending, x.partial, {}};
      break;
    case Move::pend:
      if (axes & ~x.varying) return {MoveFault::operand_is_not_varying, axes & ~x.varying, {}};
      break;
    case Move::reduce_cast:
    case Move::slice:
      if (varying) return {MoveFault::operand_is_varying, varying, {}};
      [[fallthrough]];
    default:
      if (pending) return {MoveFault::operand_is_pending, pending, {}};
  }
  VaryingValue y = x;
  y.varying &= ~axes, y.partial &= ~axes, y.reduced &= ~axes;
  if (to == Becomes::varying) y.varying |= axes;
  if (to == Becomes::reduced) y.reduced |= axes;
  if (to == Becomes::pending) y.partial |= axes;
  return {MoveFault::none, 0, y};
}

/// May blocks in this state be put together as an out spec says? An axis that shards a dimension concatenates blocks,
/// whatever they are but pending; an axis that the spec does not name takes one copy, which all must be equal to.
enum class PromiseFault : unsigned char {
  none,
  copies_may_differ,
  sum_is_pending,
  nothing_is_pending,
  gradient_mark_differs
};
struct PromiseVerdict {
  PromiseFault fault = PromiseFault::none;
  unsigned at = 0;
};
constexpr PromiseVerdict keeps_promise(const VaryingValue& block, const SpecValue& out, unsigned trivial) {
  const unsigned real = ~trivial;  // an axis of size 1 holds one copy, equal to itself
  if (const unsigned a = block.partial & ~out.partial & real) return {PromiseFault::sum_is_pending, a};
  if (const unsigned a = block.varying & ~out.sharded() & real) return {PromiseFault::copies_may_differ, a};
  if (const unsigned a = out.partial & ~block.partial & real) return {PromiseFault::nothing_is_pending, a};
  if (const unsigned a = (block.reduced ^ out.reduced) & real) return {PromiseFault::gradient_mark_differs, a};
  return {};
}

}  // namespace rules
}  // namespace tess
