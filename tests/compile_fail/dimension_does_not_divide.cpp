// A dimension divides evenly over the mesh axes that shard it
// SPDX-License-Identifier: Apache-2.0
// expect: dimension must divide evenly
// expect: dimension_does_not_divide<.*dim<1>, .*extent<6142>, .*over<model>, .*into<4>, .*sizes_that_work<6140, 6144>, .*shards_that_work<2, 37>
#include <tess/device/dry.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;

#ifdef MUST_NOT_COMPILE
ShardedTensor<f32, Shape<dyn, 6142>, M, P<data, model>> x;
#else
ShardedTensor<f32, Shape<dyn, 6144>, M, P<data, model>> x;
#endif
