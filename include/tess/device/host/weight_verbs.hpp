// The verbs on packed weights of a simulated mesh: gather_weights, which puts the parts of a group together.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <map>
#include <memory>
#include <vector>

#include "../../sharding/device_bytes.hpp"
#include "paste.hpp"
#include "storage.hpp"

namespace tess::host {

/// Of `Dev`: `pool()`, and `count_step(received)` with the bytes that each rank received.
template <class Dev>
class WeightVerbs {
 public:
  /// Devices with equal results share one, as parameters do; each has received what it lacked.
  template <AnyTensor Y, AnyTensor W>
  void gather_weights(Y& y, const W& w) {
    using M = typename W::mesh;
    using Matrix = typename W::storage_type::Matrix;
    using Shard = std::shared_ptr<const std::vector<Matrix>>;
    constexpr index_t ranks = M::size;
    const index_t groups = w.storage().scale_groups(w.extent(W::rank - 2));
    std::map<Slice<Y::rank>, Shard> made;
    std::vector<Shard> shards;
    std::vector<index_t> received;
    for (index_t r = 0; r < ranks; ++r) {
      const auto slice = begins(device_slice<typename Y::spec, M>(y.extents(), r));
      Shard& shard = made[slice];
      if (!shard) shard = put_together(y, w, r);
      shards.push_back(shard);
      received.push_back(device_bytes(y, r, groups) - device_bytes(w, r, groups));
    }
    y.storage() = typename Y::storage_type(std::move(shards));
    self().count_step(received);
  }

 private:
  template <int Rank>
  using Slice = std::array<index_t, static_cast<std::size_t>(Rank)>;

  Dev& self() { return static_cast<Dev&>(*this); }

  template <std::size_t Rank>
  static std::array<index_t, Rank> begins(const std::array<Range, Rank>& slice) {
    std::array<index_t, Rank> at{};
    for (std::size_t d = 0; d < Rank; ++d) at[d] = slice[d].begin;
    return at;
  }

  /// What device r will hold, from the distinct parts of all devices that lie within it.
  template <AnyTensor Y, AnyTensor W>
  auto put_together(const Y& y, const W& w, index_t r) {
    using M = typename W::mesh;
    using Matrix = typename W::storage_type::Matrix;
    constexpr int k = W::rank - 2, n = W::rank - 1;
    const auto whole = device_slice<typename Y::spec, M>(y.extents(), r);
    const index_t count = W::rank == 3 ? whole[0].size() : 1;
    auto result = std::make_shared<std::vector<Matrix>>();
    for (index_t e = 0; e < count; ++e) result->push_back(empty_matrix(w, whole[k], whole[n].size()));
    std::map<Slice<W::rank>, bool> seen;
    for (index_t p = 0; p < M::size; ++p) {
      const auto part = device_slice<typename W::spec, M>(w.extents(), p);
      bool within = true;
      for (int d = 0; d < W::rank; ++d)
        within = within && whole[static_cast<std::size_t>(d)].begin <= part[static_cast<std::size_t>(d)].begin &&
                 part[static_cast<std::size_t>(d)].end <= whole[static_cast<std::size_t>(d)].end;
      if (!within || !seen.emplace(begins(part), true).second) continue;
      const auto& matrices = w.storage().matrices(p);
      const index_t first = W::rank == 3 ? part[0].begin - whole[0].begin : 0;
      for (std::size_t e = 0; e < matrices.size(); ++e)
        paste(self().pool(), (*result)[static_cast<std::size_t>(first) + e], part[k].begin - whole[k].begin,
              part[n].begin - whole[n].begin, matrices[e]);
    }
    return std::shared_ptr<const std::vector<Matrix>>(std::move(result));
  }

  template <AnyTensor W>
  static auto empty_matrix(const W& w, Range k, index_t columns) {
    using E = typename W::storage_type::Matrix::element;
    if constexpr (is_q8<unpacked_t<typename W::value_type>>) {
      const index_t rows = w.extent(W::rank - 2), group_rows = rows / w.storage().scale_groups(rows);
      return blank<E>(k.size(), columns, group_rows, k.begin % group_rows);
    } else {
      return blank<E>(k.size(), columns);
    }
  }
};

}  // namespace tess::host
