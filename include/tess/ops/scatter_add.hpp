// scatter_add: rows added up by id, the transpose of take; each device adds its own tokens.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "take.hpp"

namespace tess {

template <class Rows, class Ids, class Updates>
struct rows_share_a_mesh_axis_with_the_updates {
  static_assert(
      detail::always_false<Rows>,
      "[scatter_add] the axis that is to shard the rows shards ids or updates too, so updates of a row lie on "
      "other devices: leave the rows whole and reshard<> the pending sum (a reduce-scatter)");
  static constexpr bool ok = true;
};

namespace detail {
template <class Ids, class Updates, class Rows, int Along>
struct Scatter {
  static constexpr int along = Along;
  static constexpr bool beside = false;
  static constexpr rules::GatherVerdict verdict =
      rules::scatter_add(mesh_value<typename Ids::mesh>, Ids::sharding, Updates::sharding, Along,
                         read_entry<typename Ids::mesh, Rows>::value.axes);
  static constexpr SpecValue value = verdict.fault == rules::GatherFault::none ? verdict.result : [] {
    SpecValue whole;
    whole.rank = Updates::rank - Ids::rank + 1;
    return whole;
  }();
};

/// ids [I...] and updates [A..., I..., B...]: [A..., V, B...]
template <class U, int IdsRank, int Along, index_t V>
constexpr index_t scattered_extent(int o) {
  return o == Along ? V : static_extent<U>(o < Along ? o : o + IdsRank - 1);
}
template <class U, int IdsRank, int Along, index_t V, int... O>
auto scattered_shape(std::integer_sequence<int, O...>) -> Shape<scattered_extent<U, IdsRank, Along, V>(O)...>;
}  // namespace detail

/// scatter_add<V, Rows, Along>(dev, ids, updates): zeros [A..., V, B...] to which updates [A..., I..., B...] are added at
/// the rows that ids i32 [I...] name; V a number, or dyn with the extent as last argument. No bytes move: axes of the
/// tokens leave a pending sum. `Rows` (None, an axis or Axes<...>) shards V for free, since a device keeps its own rows.
///   ids P<b>, updates P<b, d>, Rows v -> P<v, d, Partial<b>>: the gradient of a table that lies P<v, d>.
/// Throws Error for an id outside [0, V), or extents of ids and updates that differ.
template <index_t V, class Rows = None, int Along = 0, class D, AnyTensor Ids, AnyTensor Updates>
constexpr auto scatter_add(D& dev, const Ids& ids, const Updates& updates, index_t rows = V) {
  static_assert(Updates::rank >= Ids::rank + Along, "[scatter_add] updates are [A..., I..., B...], I those of the ids");
  using M = typename Ids::mesh;
  using Rule = detail::Scatter<Ids, Updates, Rows, Along>;
  constexpr bool clash = Rule::verdict.fault == rules::GatherFault::rows_axis_used;
  using Clash =
      rows_share_a_mesh_axis_with_the_updates<over<Rows>, lhs<typename Ids::spec>, rhs<typename Updates::spec>>;
  using Fact = std::conditional_t<clash, Clash, detail::lookup_fact<Rule, Ids, Updates>>;
  constexpr auto entry = detail::read_entry<M, Rows>::value;
  static_assert(detail::holds_or < !entry.unknown && !entry.undivided, mesh_has_no_such_axis < Rows,
                on_mesh < M >>> ::ok);
  static_assert(Fact::ok);
  using S = decltype(detail::scattered_shape<typename Updates::shape, Ids::rank, Along, V>(
      std::make_integer_sequence<int, Updates::rank - Ids::rank + 1>{}));
  using R = ShardedTensor<typename Updates::value_type, S, M, spec_type<M, Rule>, typename Ids::device>;
  if constexpr (!std::is_same_v<Fact, nothing_wrong>) {
    return R{};
  } else {
    for (int d = 0; d < Ids::rank; ++d)
      if (ids.extent(d) != updates.extent(Along + d))
        fail("[scatter_add] dimension ", d, " of the ids has extent ", ids.extent(d), ", dimension ", Along + d,
             " of the updates ", updates.extent(Along + d));
    std::array<index_t, static_cast<std::size_t>(S::rank)> all{};
    for (int o = 0; o < S::rank; ++o)
      all[static_cast<std::size_t>(o)] = o == Along ? rows : updates.extent(o < Along ? o : o + Ids::rank - 1);
    R y = make<R>(dev, Extents<S>::from(all));
    TESS_VERB(dev, scatter_add, Rule{}, y, ids, updates);
    return y;
  }
}

}  // namespace tess
