// A spec names a part of an axis only where the mesh divides it
// SPDX-License-Identifier: Apache-2.0
// expect: names a part of an axis at which the mesh does not divide it
// expect: mesh_axis_is_not_divided_there<.*Sub<model, 1, 4>, .*on_mesh<(M|.*Mesh<.*Axis<data, 2>, .*Axis<model, 8, 2> *> *)>
#include <tess/device/dry.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 8, 2>>;

#ifdef MUST_NOT_COMPILE
ShardedTensor<f32, Shape<64, 64>, M, P<data, Sub<model, 1, 4>>> x;
#else
ShardedTensor<f32, Shape<64, 64>, M, P<data, Sub<model, 1, 8>>> x;
#endif
