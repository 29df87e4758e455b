// key_value_axis: the part of a mesh axis over which the key/value heads of a layer lie, where they are few.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../mesh/mesh.hpp"
#include "../sharding/partition_spec.hpp"

namespace tess::nn {

namespace detail {
/// The longest part of the axis, from its major end on, over which `heads` divide; run-time heads get its first part.
template <class M, class Axis>
constexpr int positions_for_heads(index_t heads) {
  constexpr auto run = M::template run_of<Axis>;
  const auto devices = [&](int count) {
    index_t n = 1;
    for (int i = run.first; i < run.first + count; ++i) n *= M::axis_size(i);
    return n;
  };
  if (heads == dyn) return 1;
  int count = run.count;
  while (count > 0 && heads % devices(count) != 0) --count;
  if (run.count == 1) return 1;  // an axis in one piece: it stands, and the layer says where it fails
  return count;
}
template <class M, class Axis, int Count>
struct axis_for_heads {
  using type = typename M::template axis_name<M::template run_of<Axis>.first, Count>;
};
template <class M, class Axis>
struct axis_for_heads<M, Axis, 0> {
  using type = Axes<>;
};
}  // namespace detail

/// Where the key and value heads of a model lie: `Axis`, or the part of it that they divide over. On
/// Mesh<Axis<data, 1>, Axis<model, 8, 2>> eight heads lie over Sub<model, 1, 8>, each on two neighbours; one head for all
/// queries on every device, Axes<>.
/// Source: Pope et al., arXiv 2211.05102, section 3.3.
template <class M, class Axis, index_t Heads>
using key_value_axis = typename detail::axis_for_heads<M, Axis, detail::positions_for_heads<M, Axis>(Heads)>::type;

}  // namespace tess::nn
