// The dense model with f32 weights and cache on meshes: only the order of sums differs.
// SPDX-License-Identifier: Apache-2.0
#include "support/golden_mesh.hpp"

using namespace tess::test;
using C = Variant<DenseF32, tess::nn::SoftmaxTopK<>, tess::f32>;

TEST_CASE("dense_f32_2x4 on 1x8") { check_mesh<C, 1, 8>("dense_f32_2x4", reordered_sums); }
TEST_CASE("dense_f32_2x4 on 2x4") { check_mesh<C, 2, 4>("dense_f32_2x4", reordered_sums); }
