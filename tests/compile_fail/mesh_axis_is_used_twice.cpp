// A mesh axis stands in one place of a spec only
// SPDX-License-Identifier: Apache-2.0
// expect: a mesh axis may shard one dimension only
// expect: mesh_axis_is_used_twice<.*spec<.*P<model, model> *>
#include <tess/device/dry.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;

#ifdef MUST_NOT_COMPILE
ShardedTensor<f32, Shape<64, 64>, M, P<model, model>> x;
#else
ShardedTensor<f32, Shape<64, 64>, M, P<data, model>> x;
#endif
