// Heads are split off where every device has whole ones: 8 key/value heads do not divide over 16 devices
// SPDX-License-Identifier: Apache-2.0
// expect: shards of this dimension do not fall on whole entries
// expect: reshape_is_not_local<.*spec<.*P<.*None, .*None, model> *>, .*dim<2>, .*into<8>, .*over<model>, .*sizes_that_work<16> *>
#include <tess/device/dry.hpp>
#include <tess/ops/reshape.hpp>

using namespace tess;
struct model;
template <index_t N>
using Keys = ShardedTensor<f32, Shape<1, 32, 1024>, Mesh<Axis<model, N>>, P<None, None, model>>;

auto heads(Keys<16> on_sixteen, Keys<8> on_eight) {
#ifdef MUST_NOT_COMPILE
  return (void)on_eight, split<2, 8, 128>(on_sixteen, 8);
#else
  return (void)on_sixteen, split<2, 8, 128>(on_eight, 8);
#endif
}
