// A bias of experts is pending where their rows are, or every device would add it
// SPDX-License-Identifier: Apache-2.0
// expect: finished_value_meets_a_pending_sum<.*P<data, .*None, .*Partial<model> *> *>, .*rhs<
#include <tess/device/dry.hpp>
#include <tess/ops/experts.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 2>>;
using Tokens = ShardedTensor<f32, Shape<4, 8, 64>, M, P<data, None, model>>;
using Ids = ShardedTensor<i32, Shape<4, 8, 2>, M, P<data>>;
using Weights = ShardedTensor<packed<f32>, Shape<6, 64, 32>, M, P<None, model>>;
using Biases = ShardedTensor<f32, Shape<6, 32>, M, P<>>;

auto biased(Dry& dev, Tokens x, Routes<Ids, with_type<Ids, f32>> routes, Weights w, Biases b) {
  const auto rows = matmul(dev, dispatch(dev, x, routes, 6), w);
#ifdef MUST_NOT_COMPILE
  return add_bias(dev, rows, b);
#else
  return add_bias(dev, rows, reshard<P<None, None, Partial<model>>>(dev, b));
#endif
}
