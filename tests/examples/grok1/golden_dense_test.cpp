// dense, stage by stage against the float64 truth: one expert, the dense block, quantised.
// SPDX-License-Identifier: Apache-2.0
#include "support/golden_stages.hpp"

using namespace tess::test;

TEST_CASE("dense: where nothing is rounded, every stage is far nearer to the truth than the reference's") {
  check_stages<Variant<Dense, tess::nn::SoftmaxTopK<>, tess::f32>, 1, 1>("dense", "f32 cache", unrounded);
}

TEST_CASE("dense: on the reference's own mesh") {
  check_stages<Variant<Dense, tess::nn::SoftmaxTopK<>, tess::f32>, 1, 8>("dense", "f32 cache", unrounded);
}

TEST_CASE("dense: with the bf16 cache, no worse than the reference") {
  check_stages<Dense, 1, 8>("dense", "bf16 cache", rounded_cache);
}
