// A spec has at most one entry a dimension
// SPDX-License-Identifier: Apache-2.0
// expect: at most one entry per dimension
// expect: spec_is_longer_than_the_shape<.*shape<.*Shape<6144> *>, .*spec<.*P<.*None, model> *> *>
#include <tess/device/dry.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;

#ifdef MUST_NOT_COMPILE
ShardedTensor<f32, Shape<6144>, M, P<None, model>> scale;
#else
ShardedTensor<f32, Shape<6144>, M, P<model>> scale;
#endif
