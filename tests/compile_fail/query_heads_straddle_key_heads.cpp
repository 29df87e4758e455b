// The query heads of a device are whole groups that share a key head, or lie within one group
// SPDX-License-Identifier: Apache-2.0
// expect: whole groups that share a key head, or lie within one
// expect: query_heads_straddle_key_heads<.*lhs<.*Shape<1, 1, 24, 64> *>, .*rhs<.*Shape<1, 16, (3|2), 64> *>, .*into<4> *>
#include <tess/device/dry.hpp>
#include <tess/ops/attention.hpp>

using namespace tess;
struct model;
using M = Mesh<Axis<model, 4>>;
using Query = ShardedTensor<f32, Shape<1, 1, 24, 64>, M, P<None, None, model>>;  // six heads a device
template <index_t Heads>
using Cache = ShardedTensor<bf16, Shape<1, 16, Heads, 64>, M, P<>>;

auto mix(Dry& dev, Query q, Cache<3> groups_of_eight, Cache<2> groups_of_twelve, Segments rows) {
#ifdef MUST_NOT_COMPILE
  return (void)groups_of_twelve, attention<f32>(dev, q, groups_of_eight, groups_of_eight, rows, {});
#else
  return (void)groups_of_eight, attention<f32>(dev, q, groups_of_twelve, groups_of_twelve, rows, {});
#endif
}
