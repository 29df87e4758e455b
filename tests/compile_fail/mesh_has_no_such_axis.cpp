// Every mesh axis that a spec names exists
// SPDX-License-Identifier: Apache-2.0
// expect: names an axis that the mesh does not have
// expect: mesh_has_no_such_axis<expert, .*on_mesh<(M|.*Mesh<.*Axis<data, 2>, .*Axis<model, 4> *> *)>
#include <tess/device/dry.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
struct expert;

#ifdef MUST_NOT_COMPILE
ShardedTensor<f32, Shape<8, 64>, M, P<data, expert>> x;
#else
ShardedTensor<f32, Shape<8, 64>, M, P<data, model>> x;
#endif
