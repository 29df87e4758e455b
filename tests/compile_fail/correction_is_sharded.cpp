// A correction of logits is whole on every device, as the logits are
// SPDX-License-Identifier: Apache-2.0
// expect: what_is_given_to_a_policy_is_whole<.*spec<.*P<model> *> *>
#include <tess/device/dry.hpp>
#include <tess/nn/router.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
using Logits = ShardedTensor<f32, Shape<4, 8, 16>, M, P<data>>;
using Correction = ShardedTensor<f32, Shape<16>, M, P<model>>;

auto routes(Dry& dev, Logits logits, Correction correction) {
#ifdef MUST_NOT_COMPILE
  return route(dev, logits, correction, 4, nn::GroupedSigmoidTopK{});
#else
  return route(dev, logits, gather<0>(dev, correction), 4, nn::GroupedSigmoidTopK{});
#endif
}
