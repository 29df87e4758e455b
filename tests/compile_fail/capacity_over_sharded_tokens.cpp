// A policy with a capacity sees all tokens of a row
// SPDX-License-Identifier: Apache-2.0
// expect: a_policy_of_groups_sees_all_tokens_of_a_row<.*GShard, .*spec<.*P<.*None, data
#include <tess/device/dry.hpp>
#include <tess/nn/router_capacity.hpp>
#include <tess/ops/experts.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
using Logits = ShardedTensor<f32, Shape<4, 8, 16>, M, P<None, data>>;

auto routes(Dry& dev, Logits logits) {
#ifdef MUST_NOT_COMPILE
  return route(dev, logits, 2, nn::GShard{});
#else
  return route(dev, gather<1>(dev, logits), 2, nn::GShard{});
#endif
}
