// scales_spec: how the scales of an int8 weight are sharded, so that every mesh that fits the weight fits them too.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../tensor/dtype.hpp"
#include "sharded_tensor.hpp"

namespace tess {

/// The spec of scales [..., G, N] from that of their weight [..., K, N]: the same, but along G only the leading axes of K
/// whose devices divide G. Over the other axes a group's scales are replicated, since its rows lie on several devices. So
/// each device has the scales of all rows that it holds, and nothing has to divide that the weight does not ask for.
/// (The reference gives scales the weight's spec, which fails wherever G does not divide: xai-org/grok-1 model.py.)
constexpr SpecValue scales_spec(const MeshValue& m, const SpecValue& weight, index_t groups) {
  SpecValue s = weight;
  if (s.rank < 2) return s;
  const DimAxes rows = weight[s.rank - 2];
  DimAxes kept;
  index_t n = 1;
  for (int i = 0; i < rows.count && groups % (n * m.size(rows[i])) == 0; ++i) n *= m.size(rows[i]), kept.push(rows[i]);
  s[s.rank - 2] = kept;
  return s;
}

namespace detail {
template <class W, index_t G>
struct scales_holder {
  static constexpr SpecValue value = scales_spec(mesh_value<typename W::mesh>, W::sharding, G);
};
template <class S, index_t G, int... D>
auto with_groups(std::integer_sequence<int, D...>) -> Shape<(D == S::rank - 2 ? G : static_extent<S>(D))...>;
}  // namespace detail

/// The scales of a weight of q8<G>, as a tensor of bf16 beside it: [..., K, N] -> [..., G, N].
template <AnyTensor W>
requires(is_q8<unpacked_t<typename W::value_type>>&& W::rank >= 2) using scales_of = ShardedTensor<
    bf16,
    decltype(detail::with_groups<typename W::shape, unpacked_t<typename W::value_type>::groups>(
        std::make_integer_sequence<int, W::rank>{})),
    typename W::mesh, spec_type<typename W::mesh, detail::scales_holder<W, unpacked_t<typename W::value_type>::groups>>,
    typename W::device>;

}  // namespace tess
