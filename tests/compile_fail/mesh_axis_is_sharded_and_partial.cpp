// A mesh axis that shards a dimension is not Partial as well
// SPDX-License-Identifier: Apache-2.0
// expect: not also be Partial
// expect: mesh_axis_is_used_twice<.*spec<.*P<data, .*Partial<data> *> *>
#include <tess/device/dry.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;

#ifdef MUST_NOT_COMPILE
ShardedTensor<f32, Shape<64>, M, P<data, Partial<data>>> x;
#else
ShardedTensor<f32, Shape<64>, M, P<data, Partial<model>>> x;
#endif
