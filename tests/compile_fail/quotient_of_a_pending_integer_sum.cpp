// A pending sum of integers is not divided: what is cut off its parts is not what is cut off the sum
// SPDX-License-Identifier: Apache-2.0
// expect: the operand is still Partial
// expect: function_of_a_pending_sum<.*spec<.*P<.*None, .*Partial<data> *> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/elementwise.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;
struct data;
using M = Mesh<Axis<data, 2>>;

auto quarter(Dry& dev, ShardedTensor<i32, Shape<8>, M, P<None, Partial<data>>> x) {
#ifdef MUST_NOT_COMPILE
  return div(dev, x, 4);
#else
  return div(dev, reduce(dev, x), 4);
#endif
}
