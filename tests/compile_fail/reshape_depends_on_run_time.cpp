// Where a reshape leaves the mesh axes is known to the compiler
// SPDX-License-Identifier: Apache-2.0
// expect: reshape_depends_on_run_time_extents<.*spec<.*P<data, .*None, model> *>
#include <tess/device/dry.hpp>
#include <tess/ops/reshape.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto f(Dry& dev, Tensor<Shape<dyn, dyn, dyn>, P<data, None, model>> x, index_t n) {
#ifdef MUST_NOT_COMPILE
  return (void)dev, reshape(x, Extents<Shape<dyn, dyn, dyn>>(n, n, n));
#else
  return (void)dev, (void)n, merge<0>(x);
#endif
}
