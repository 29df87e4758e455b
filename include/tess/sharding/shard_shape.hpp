// shard_shape: the shape that one device holds, and the rules that decide whether a shape can be sharded so.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <type_traits>
#include <utility>

#include "../core/error.hpp"
#include "../tensor/shape.hpp"
#include "spec_value.hpp"

namespace tess {

// ---- the errors: public text, one struct a rule

template <class Dim, class Extent, class Over, class Into, class Sizes, class Shards>
struct dimension_does_not_divide {
  static_assert(detail::always_false<Dim>,
                "[sharding] a dimension must divide evenly over the mesh axes that shard it: choose one of "
                "`sizes_that_work` (pad explicitly), axes of `shards_that_work` devices, or None");
  static constexpr bool ok = true;
};
template <class Entry, class M>
struct mesh_has_no_such_axis {
  static_assert(detail::always_false<Entry>,
                "[sharding] the PartitionSpec names an axis that the mesh does not have: "
                "use one of the mesh's axes");
  static constexpr bool ok = true;
};
template <class Spec, class M>
struct mesh_axis_is_used_twice {
  static_assert(detail::always_false<Spec>,
                "[sharding] a mesh axis may shard one dimension only, and not also be Partial: "
                "drop it in one place");
  static constexpr bool ok = true;
};
template <class Entry, class M>
struct mesh_axis_is_not_divided_there {
  static_assert(
      detail::always_false<Entry>,
      "[sharding] the PartitionSpec names a part of an axis at which the mesh does not divide it: declare the "
      "axis in these parts, e.g. Axis<model, 8, 2> for Sub<model, 1, 8>");
  static constexpr bool ok = true;
};
template <class Spec>
struct pending_values_are_of_two_kinds {
  static_assert(detail::always_false<Spec>,
                "[sharding] a PartitionSpec is Partial, PartialMax or PartialMin, not two of them: reduce<> one first");
  static constexpr bool ok = true;
};
template <class Shape, class Spec>
struct spec_is_longer_than_the_shape {
  static_assert(detail::always_false<Shape>,
                "[sharding] a PartitionSpec has at most one entry per dimension: "
                "drop the surplus entries");
  static constexpr bool ok = true;
};

namespace detail {

/// What would work instead where n does not divide by k: the multiples of k, and the divisors of n, on both sides; the
/// same one twice where one side has none (an extent of 0 is no remedy, nor is one shard).
struct Divisible {
  index_t less = 0, more = 0;
};
constexpr Divisible sizes_near(index_t n, index_t k) {
  const index_t more = (n / k + 1) * k;
  return {n < k ? more : more - k, more};
}
constexpr Divisible shards_near(index_t n, index_t k) {
  index_t less = k < n ? k - 1 : n, more = k + 1;
  while (less > 1 && n % less != 0) --less;
  for (index_t last = k + (1 << 16); more < n && n % more != 0;) more = more < last ? more + 1 : n;
  if (more > n) more = less;
  return {less > 1 ? less : more, more};
}
template <template <index_t...> class Wrap, index_t Less, index_t More>
struct one_or_two {
  using type = Wrap<Less, More>;
};
template <template <index_t...> class Wrap, index_t Same>
struct one_or_two<Wrap, Same, Same> {
  using type = Wrap<Same>;
};

enum class ShardingFault { none, too_long, unknown_axis, undivided_axis, axis_twice, two_kinds, indivisible };
struct ShardingVerdict {
  ShardingFault fault = ShardingFault::none;
  int at = 0;  // the entry, or for `indivisible` the dimension
};

template <class S, class M, class... E>
constexpr ShardingVerdict judge_sharding(P<E...>) {
  const Entry entries[] = {read_entry<M, E>::value..., Entry{}};
  constexpr int dims = dims_of<P<E...>>;
  if (dims > S::rank) return {ShardingFault::too_long};
  unsigned seen = 0;
  int d = 0, pending = -1;
  for (int i = 0; i < static_cast<int>(sizeof...(E)); ++i) {
    const Entry& e = entries[i];
    if (e.unknown) return {ShardingFault::unknown_axis, i};
    if (e.undivided) return {ShardingFault::undivided_axis, i};
    for (int a = 0; a < e.axes.count; ++a) {
      const unsigned bit = 1u << e.axes[a];
      if (seen & bit) return {ShardingFault::axis_twice, i};
      seen |= bit;
    }
    if (e.kind == EntryKind::partial && e.axes.count > 0) {
      if (pending >= 0 && pending != static_cast<int>(e.how)) return {ShardingFault::two_kinds, i};
      pending = static_cast<int>(e.how);
    }
    if (e.kind != EntryKind::dimension) continue;
    const index_t n = static_extent<S>(d);
    if (n != dyn && n % parts<M>(e.axes) != 0) return {ShardingFault::indivisible, d};
    ++d;
  }
  return {};
}

template <int I, class Spec>
struct entry_at;
template <int I, class... E>
struct entry_at<I, P<E...>> : nth<I, E...> {};
template <class E>
struct as_over {
  using type = over<E>;
};
template <class... N>
struct as_over<Axes<N...>> {
  using type = over<N...>;
};

/// Names the broken rule without instantiating it.
template <class S, class Spec, class M>
constexpr auto sharding_fact_of() {
  constexpr ShardingVerdict v = judge_sharding<S, M>(Spec{});
  if constexpr (v.fault == ShardingFault::none) {
    return std::type_identity<nothing_wrong>{};
  } else if constexpr (v.fault == ShardingFault::too_long) {
    return std::type_identity<spec_is_longer_than_the_shape<shape<S>, spec<Spec>>>{};
  } else if constexpr (v.fault == ShardingFault::unknown_axis) {
    return std::type_identity<mesh_has_no_such_axis<typename entry_at<v.at, Spec>::type, on_mesh<M>>>{};
  } else if constexpr (v.fault == ShardingFault::undivided_axis) {
    return std::type_identity<mesh_axis_is_not_divided_there<typename entry_at<v.at, Spec>::type, on_mesh<M>>>{};
  } else if constexpr (v.fault == ShardingFault::two_kinds) {
    return std::type_identity<pending_values_are_of_two_kinds<spec<Spec>>>{};
  } else if constexpr (v.fault == ShardingFault::axis_twice) {
    return std::type_identity<mesh_axis_is_used_twice<spec<Spec>, on_mesh<M>>>{};
  } else {
    constexpr index_t n = static_extent<S>(v.at), k = parts<M>(spec_value<Spec, M, S::rank>[v.at]);
    using entry = dim_entry<M, spec_holder<Spec, M, S::rank>, v.at>;
    constexpr Divisible sizes = sizes_near(n, k), shards = shards_near(n, k);
    return std::type_identity<
        dimension_does_not_divide<dim<v.at>, extent<n>, typename as_over<entry>::type, into<k>,
                                  typename one_or_two<sizes_that_work, sizes.less, sizes.more>::type,
                                  typename one_or_two<shards_that_work, shards.less, shards.more>::type>>{};
  }
}
template <class S, class Spec, class M>
using sharding_fact = typename decltype(sharding_fact_of<S, Spec, M>())::type;

template <class S, class M, class Holder, int... D>
auto local_shape_of(std::integer_sequence<int, D...>)
    -> Shape<(static_extent<S>(D) == dyn ? dyn : static_extent<S>(D) / parts<M>(Holder::value[D]))...>;
template <class S, class Spec, class M, bool Ok>
struct local_or_global {  // recovery after a reported fault: the global shape, so that nothing cascades
  using type = S;
};
template <class S, class Spec, class M>
struct local_or_global<S, Spec, M, true> {
  using type =
      decltype(local_shape_of<S, M, spec_holder<Spec, M, S::rank>>(std::make_integer_sequence<int, S::rank>{}));
};
}  // namespace detail

/// Can a tensor of shape S be sharded as Spec says on mesh M?
template <class S, class Spec, class M>
concept Shardable = AnyShape<S> && AnySpec<Spec> && AnyMesh<M> && detail::judge_sharding<S, M>(Spec{})
.fault == detail::ShardingFault::none;

/// Dimension d of the result is d / (product of the axes on it); dyn stays dyn. Source: JAX NamedSharding.shard_shape.
template <AnyShape S, AnySpec Spec, AnyMesh M>
using shard_shape = typename detail::local_or_global<S, Spec, M, Shardable<S, Spec, M>>::type;

/// The run-time half of the rule: extents that were dyn must divide too. Throws Error with the same facts in words.
template <AnyMesh M>
constexpr void check_divides(const SpecValue& spec, int d, index_t extent) {
  const index_t k = parts<M>(spec[d]);
  if (extent % k == 0) return;
  const detail::Divisible sizes = detail::sizes_near(extent, k), shards = detail::shards_near(extent, k);
  const auto both = [](detail::Divisible s) {
    return std::to_string(s.less) + (s.less == s.more ? "" : ", " + std::to_string(s.more));
  };
  fail("[sharding] dimension_does_not_divide: dimension ", d, " has extent ", extent, ", which does not divide into ",
       k, " shards; sizes that work: ", both(sizes), "; shards that work: ", both(shards));
}

/// Extents of the shard of one device. Throws Error when a run-time extent does not divide.
template <AnySpec Spec, AnyMesh M, AnyShape S>
constexpr Extents<shard_shape<S, Spec, M>> local_extents(const Extents<S>& global) {
  if constexpr (!Shardable<S, Spec, M>) {
    return global;  // reported where the type was made
  } else {
    constexpr SpecValue spec = spec_value<Spec, M, S::rank>;
    std::array<index_t, static_cast<std::size_t>(S::rank)> local{};
    for (int d = 0; d < S::rank; ++d) {
      check_divides<M>(spec, d, global[d]);
      local[static_cast<std::size_t>(d)] = global[d] / parts<M>(spec[d]);
    }
    return Extents<shard_shape<S, Spec, M>>::from(local);
  }
}

}  // namespace tess
