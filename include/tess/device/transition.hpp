// Transition: one step of a reshard as plain values, who takes part in it, and what each rank then receives.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <limits>
#include <vector>

#include "../comm/movement.hpp"
#include "../tensor/dtype.hpp"
#include "traffic.hpp"

namespace tess {

/// One step of a plan: how a tensor of these extents is sharded before and after.
struct Transition {
  Collective what = Collective::slice;
  MeshValue mesh;
  SpecValue from, to;
  AllExtents whole{};

  /// The axes over which pending values are put together.
  unsigned reduced_axes() const { return from.partial & ~to.partial; }
};

/// The devices with which `device` reduces, in the order of their coordinates over the axes, the first one major: in the
/// order of their numbers.
inline std::vector<index_t> group_of(const MeshValue& m, unsigned axes, index_t device) {
  std::vector<index_t> members(1, detail::renumbered(m, axes, device, 0));
  for (int a = 0; a < m.rank; ++a)
    if (axes >> a & 1u) {
      std::vector<index_t> more;
      for (const index_t first : members)
        for (index_t c = 0; c < m.size(a); ++c) more.push_back(first + c * m.stride(a));
      members = std::move(more);
    }
  return members;
}

/// What changes nothing when it is put together with others.
template <class T>
T neutral(Reduction kind) {
  constexpr f32 infinity = std::numeric_limits<f32>::infinity();
  if (kind == Reduction::sum) return T{};
  if constexpr (std::numeric_limits<T>::is_integer)
    return kind == Reduction::max ? std::numeric_limits<T>::lowest() : std::numeric_limits<T>::max();
  else return T(kind == Reduction::max ? -infinity : infinity);
}

/// An all-reduce is a reduce-scatter of chunks and an all-gather of them. Chunk i of L elements in a group of n is
/// [i L / n, (i + 1) L / n), rounded up.
struct Chunks {
  index_t size, count;

  index_t begin(index_t i) const { return std::min(size, i * ((size + count - 1) / count)); }
  index_t end(index_t i) const { return begin(i + 1); }
  /// Elements that the member who puts chunk i together receives, the rest of the result included.
  index_t received(index_t i) const {
    const index_t own = end(i) - begin(i);
    return own * (count - 1) + size - own;
  }
};

}  // namespace tess
