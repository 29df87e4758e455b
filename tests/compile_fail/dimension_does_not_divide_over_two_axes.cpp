// A dimension sharded over two axes divides by the product of their sizes
// SPDX-License-Identifier: Apache-2.0
// expect: dimension_does_not_divide<.*dim<0>, .*extent<12>, .*over<data, model>, .*into<8>, .*sizes_that_work<8, 16>, .*shards_that_work<6, 12>
#include <tess/device/dry.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;

#ifdef MUST_NOT_COMPILE
ShardedTensor<f32, Shape<12>, M, P<Axes<data, model>>> x;
#else
ShardedTensor<f32, Shape<16>, M, P<Axes<data, model>>> x;
#endif
