// dense_f32_2x4: plain f32 weights on a mesh of 2 x 4, the one model that the reference runs at data > 1.
// SPDX-License-Identifier: Apache-2.0
#include "support/golden_stages.hpp"

using namespace tess::test;

// Of the stages, the file holds the layers' outputs alone.
TEST_CASE("dense_f32_2x4: where nothing is rounded, every layer is far nearer to the truth than the reference's") {
  check_stages<Variant<DenseF32, tess::nn::SoftmaxTopK<>, tess::f32>, 2, 4>("dense_f32_2x4", "f32 cache",
                                                                            unrounded_f32);
}
TEST_CASE("dense_f32_2x4: with the bf16 cache, no worse than the reference") {
  check_stages<DenseF32, 2, 4>("dense_f32_2x4", "bf16 cache", rounded_cache);
}
