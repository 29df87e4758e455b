// take: rows of a table by id, the embedding lookup; take_along_axis; and the product with every row of the table.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../sharding/rules/gather.hpp"
#include "matmul.hpp"

namespace tess {

template <class Ids, class Table>
struct ids_and_table_share_a_mesh_axis {
  static_assert(
      detail::always_false<Ids>,
      "[take] a mesh axis shards both the ids and the table, so a device would hold other rows than its ids ask for: "
      "gather<> the ids over it first");
  static constexpr bool ok = true;
};

template <class Spec>
struct ids_are_still_partial {
  static_assert(detail::always_false<Spec>,
                "[take] the ids are Partial, and a row of number a + b is no sum of rows a and b: reduce() them first");
  static constexpr bool ok = true;
};
template <class Spec>
struct rows_of_a_pending_maximum {
  static_assert(
      detail::always_false<Spec>,
      "[take] a device counts rows that it lacks as zeros, which a PartialMax or PartialMin takes for values: "
      "reduce() the table first");
  static constexpr bool ok = true;
};
template <class Ids, class Table, class Dim>
struct ids_and_table_are_sharded_differently {
  static_assert(detail::always_false<Ids>,
                "[take] a dimension that ids and table share is sharded differently, and neither sharding refines the "
                "other: reshard<> the ids");
  static constexpr bool ok = true;
};

namespace detail {
/// The verdict of a lookup, and which dimension it looks along: what Dry bills and Host computes. `Beside`: take_along_axis.
template <class Table, class Ids, int Along, bool Beside>
struct Lookup {
  static constexpr int along = Along;
  static constexpr bool beside = Beside;
  static constexpr rules::GatherVerdict verdict = [] {
    constexpr const MeshValue& m = mesh_value<typename Table::mesh>;
    return Beside ? rules::take_along_axis(m, Table::sharding, Along, Ids::sharding)
                  : rules::take(m, Table::sharding, Along, Ids::sharding);
  }();
  static constexpr SpecValue value = verdict.fault == rules::GatherFault::none ? verdict.result : [] {
    SpecValue whole;
    whole.rank = Beside ? Ids::rank : Table::rank + Ids::rank - 1;
    return whole;
  }();
};

/// Names the broken rule of a lookup or of its transpose.
template <class Rule, class Ids, class Table>
constexpr auto lookup_fact_of() {
  using SI = typename Ids::spec;
  using ST = typename Table::spec;
  constexpr rules::GatherVerdict v = Rule::verdict;
  using Fault = rules::GatherFault;
  if constexpr (!std::is_same_v<typename Ids::mesh, typename Table::mesh>)
    return std::type_identity<operands_live_on_different_meshes<lhs<typename Ids::mesh>, rhs<typename Table::mesh>>>{};
  else if constexpr (v.fault == Fault::ids_pending) return std::type_identity<ids_are_still_partial<spec<SI>>>{};
  else if constexpr (v.fault == Fault::pending_is_no_sum)
    return std::type_identity<rows_of_a_pending_maximum<spec<ST>>>{};
  else if constexpr (v.fault == Fault::sharded_differently)
    return std::type_identity<ids_and_table_are_sharded_differently<lhs<SI>, rhs<ST>, dim<v.table_dim>>>{};
  else if constexpr (v.fault == Fault::none) return std::type_identity<nothing_wrong>{};
  else return std::type_identity<ids_and_table_share_a_mesh_axis<lhs<SI>, rhs<ST>>>{};
}
template <class Rule, class Ids, class Table>
using lookup_fact = typename decltype(lookup_fact_of<Rule, Ids, Table>())::type;

/// [A..., V, B...] and ids [I...]: [A..., I..., B...]
template <class T, class I, int Along>
constexpr index_t taken_extent(int o) {
  if (o < Along) return static_extent<T>(o);
  return o < Along + I::rank ? static_extent<I>(o - Along) : static_extent<T>(o - I::rank + 1);
}
template <class T, class I, int Along, int... O>
auto taken_shape(std::integer_sequence<int, O...>) -> Shape<taken_extent<T, I, Along>(O)...>;

/// What a table gives: one that is packed for products has its rows as the checkpoint wrote them, f32.
template <class T>
using row_type = std::conditional_t<is_table<T>, f32, T>;

/// x [..., D] by table [V, D]: the same rule as matmul with the table transposed.
template <class X, class Table>
struct transposed_result {
  static constexpr MatmulVerdict verdict = [] {
    SpecValue w = Table::sharding;
    w[0] = Table::sharding[1];
    w[1] = Table::sharding[0];
    return judge_matmul(mesh_value<typename X::mesh>, X::sharding, w);
  }();
  static constexpr SpecValue value = verdict.result;
};
template <class X, class Table>
struct contracting_rows {
  static constexpr SpecValue value = [] {
    SpecValue s = X::sharding.without(Table::sharding.used());
    s.partial = 0;
    s[s.rank - 1] = Table::sharding[1];
    return s;
  }();
};
}  // namespace detail

/// take<Along>(dev, table, ids): ids i32 [I...], table [A..., V, B...], V its dimension `Along` -> [A..., I..., B...], as
/// numpy.take. No bytes move: an axis on V leaves a pending sum, as devices add zeros for rows they lack; axes on A, B and
/// the ids stay. An axis may not shard both the ids and the table. A `table<E>` [V, D] gives f32, any other its own type.
/// Throws Error for an id outside [0, V).
template <int Along = 0, class D, AnyTensor Ids, AnyTensor Table>
constexpr auto take(D& dev, const Table& table, const Ids& ids) {
  using T = typename Table::value_type;
  using Rule = detail::Lookup<Table, Ids, Along, false>;
  using Fact = detail::lookup_fact<Rule, Ids, Table>;
  static_assert(Along >= 0 && Along < Table::rank && (!is_table<T> || Along == 0), "[take] no such dimension");
  static_assert(Fact::ok);
  using S = decltype(detail::taken_shape<typename Table::shape, typename Ids::shape, Along>(
      std::make_integer_sequence<int, Table::rank + Ids::rank - 1>{}));
  using M = typename Ids::mesh;
  using R = ShardedTensor<detail::row_type<T>, S, M, spec_type<M, Rule>, typename Ids::device>;
  if constexpr (!std::is_same_v<Fact, nothing_wrong>) {
    return R{};
  } else {
    std::array<index_t, static_cast<std::size_t>(S::rank)> all{};
    for (int o = 0; o < S::rank; ++o)
      all[static_cast<std::size_t>(o)] = o < Along               ? table.extent(o)
                                         : o < Along + Ids::rank ? ids.extent(o - Along)
                                                                 : table.extent(o - Ids::rank + 1);
    R y = make<R>(dev, Extents<S>::from(all));
    if constexpr (is_table<T>) TESS_VERB(dev, take, y, table, ids);
    else TESS_VERB(dev, gather_rows, Rule{}, y, table, ids);
    return y;
  }
}

/// take_along_axis<Along>(dev, x, ids): y[..., i, ...] = x[..., ids[..., i, ...], ...], as numpy.take_along_axis without
/// broadcasting. x [A..., V, B...], ids i32 [A..., I, B...] -> [A..., I, B...]. The rule of take; dimensions that x and ids
/// share may be sharded finer in one. Throws Error for an id outside [0, V), or extents that differ.
template <int Along, class D, AnyTensor Ids, AnyTensor X>
constexpr auto take_along_axis(D& dev, const X& x, const Ids& ids) {
  static_assert(X::rank == Ids::rank && Along >= 0 && Along < X::rank,
                "[take] take_along_axis needs ids of x's rank, and a dimension of it");
  using Rule = detail::Lookup<X, Ids, Along, true>;
  using Fact = detail::lookup_fact<Rule, Ids, X>;
  static_assert(Fact::ok);
  using M = typename Ids::mesh;
  using R = ShardedTensor<typename X::value_type, typename Ids::shape, M, spec_type<M, Rule>, typename Ids::device>;
  if constexpr (!std::is_same_v<Fact, nothing_wrong>) {
    return R{};
  } else {
    for (int d = 0; d < X::rank; ++d)
      if (d != Along && x.extent(d) != ids.extent(d))
        fail("[take] dimension ", d, " has extent ", x.extent(d), " in x and ", ids.extent(d), " in the ids");
    R y = make<R>(dev, ids.extents());
    TESS_VERB(dev, gather_rows, Rule{}, y, x, ids);
    return y;
  }
}

/// The spec in which X [..., D] can meet every row of a table [V, D] where it lies.
template <AnyTensor X, AnyTensor Table>
using row_contracting_spec = spec_type<typename X::mesh, detail::contracting_rows<X, Table>>;

/// x [..., D] · tableᵀ -> f32 [..., V]: logits from tied embeddings. P<b..., d>, P<v, d> -> P<b..., v, Partial<d>>.
template <class D, AnyTensor X, AnyTensor Table>
constexpr auto matmul_rows(D& dev, const X& x, const Table& table) {
  using result = detail::transposed_result<X, Table>;
  static_assert(detail::holds_or<
                (result::verdict.fault == detail::MatmulFault::none),
                contracted_dimensions_are_sharded_differently<lhs<typename X::spec>, rhs<typename Table::spec>>>::ok);
  using S = detail::with_last<typename X::shape, detail::static_extent<typename Table::shape>(0)>;
  using R = ShardedTensor<f32, S, typename X::mesh, spec_type<typename X::mesh, result>, typename X::device>;
  R y = make<R>(dev, detail::extents_with_last<S>(x.extents(), table.extent(0)));
  TESS_VERB(dev, matmul_rows, y, x, table);
  return y;
}

}  // namespace tess
