// A sum that is still pending is no value yet (the README's example): f(a + b) is not f(a) + f(b).
// SPDX-License-Identifier: Apache-2.0
// expect: \[elementwise\] the operand is still Partial
// expect-GNU: function_of_a_pending_sum<tess::spec<tess::P<app::data, tess::None, tess::Partial<app::model> > > >
// expect-Clang: function_of_a_pending_sum<tess::spec<tess::P<app::data, tess::None, tess::Partial<app::model>>>>
#include <tess/tess.hpp>

namespace app {
using namespace tess;
struct data;
struct model;

using Grid = Mesh<Axis<data, 2>, Axis<model, 4>>;
using X = ShardedTensor<f32, Shape<16, 64>, Grid, P<data, model>, Host>;
using W = ShardedTensor<f32, Shape<64, 32>, Grid, P<model, None>, Host>;

auto layer(Host& dev, const X& x, const W& w) {
  const auto y = matmul(dev, x, w);
#ifdef MUST_NOT_COMPILE
  return map<f32>(dev, nn::SquaredRelu{}, y);
#else
  return map<f32>(dev, nn::SquaredRelu{}, reduce(dev, y));
#endif
}
}  // namespace app
