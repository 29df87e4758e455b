// take: rows of a table by token id, the embedding lookup; and its transpose, the product with every row of the table.
// SPDX-License-Identifier: Apache-2.0
#pragma once
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

namespace detail {
/// ids [B...] of a table [V, D]: P<b...>, P<v, d> -> P<b..., d, Partial<v>>: a device adds zeros for rows it does not
/// hold.
template <class Ids, class Table>
struct take_spec {
  static constexpr SpecValue value = [] {
    SpecValue s = Ids::sharding;
    s[s.rank++] = Table::sharding[1];
    s.partial = Table::sharding[0].mask();
    return s;
  }();
};
template <class S, index_t N, int... D>
auto append_dim(std::integer_sequence<int, D...>) -> Shape<static_extent<S>(D)..., N>;

/// x [..., D] by table [V, D]: the same rule as matmul with the table transposed.
template <class X, class Table>
struct transposed_result {
  static constexpr MatmulVerdict verdict = [] {
    SpecValue w = Table::sharding;
    w[0] = Table::sharding[1];
    w[1] = Table::sharding[0];
    return judge_matmul(X::sharding, w);
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

/// ids i32 [B...], table [V, D] -> f32 [B..., D], the rows as the checkpoint has them. No bytes move: an axis on V
/// leaves a pending sum, an axis on D a column shard. An axis may not shard both the ids and the table. Throws Error
/// for an id outside [0, V).
template <class D, AnyTensor Ids, AnyTensor Table>
constexpr auto take(D& dev, const Table& table, const Ids& ids) {
  constexpr bool local = !(Ids::sharding.used() & Table::sharding.used());
  static_assert(
      detail::holds_or<local, ids_and_table_share_a_mesh_axis<lhs<typename Ids::spec>, rhs<typename Table::spec>>>::ok);
  using S = decltype(detail::append_dim<typename Ids::shape, detail::static_extent<typename Table::shape>(1)>(
      std::make_integer_sequence<int, Ids::rank>{}));
  using M = typename Ids::mesh;
  if constexpr (!local) {
    return ShardedTensor<f32, S, M, P<>, typename Ids::device>{};
  } else {
    using R = ShardedTensor<f32, S, M, spec_type<M, detail::take_spec<Ids, Table>>, typename Ids::device>;
    std::array<index_t, static_cast<std::size_t>(S::rank)> all{};
    for (int d = 0; d < Ids::rank; ++d) all[static_cast<std::size_t>(d)] = ids.extent(d);
    all.back() = table.extent(1);
    R y = make<R>(dev, Extents<S>::from(all));
    TESS_VERB(dev, take, y, table, ids);
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
