// A head and its matrix lie on the same devices: weights of all heads are not sliced in passing
// SPDX-License-Identifier: Apache-2.0
// expect: a head and its matrix lie on the same devices
// expect: head_and_its_matrix_lie_apart<.*lhs<.*P<data, .*None, model, .*None> *>, .*rhs<.*P<.*None, .*None, .*None> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/matmul_heads.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

void absorb(Dry& dev, Tensor<Shape<8, 64, 16, 128>, P<data, None, model>> q, Tensor<Shape<16, 128, 512>, P<>> whole,
            Tensor<Shape<16, 128, 512>, P<model>> by_head) {
#ifdef MUST_NOT_COMPILE
  (void)by_head;
  matmul_heads(dev, q, whole);
#else
  (void)whole;
  matmul_heads(dev, q, by_head);
#endif
}
