// moe2, stage by stage against the float64 truth: three query heads a key head, no power of two.
// SPDX-License-Identifier: Apache-2.0
#include "support/golden_stages.hpp"

using namespace tess::test;

TEST_CASE("moe2: where nothing is rounded, every stage is far nearer to the truth than the reference's") {
  check_stages<Variant<Moe2, Forced, tess::f32>, 1, 1>("moe2", "f32 cache", unrounded);
}

TEST_CASE("moe2: on the reference's own mesh") {
  check_stages<Variant<Moe2, Forced, tess::f32>, 1, 8>("moe2", "f32 cache", unrounded);
}

TEST_CASE("moe2: with the bf16 cache, no worse than the reference") {
  check_stages<Variant<Moe2, Forced>, 1, 8>("moe2", "bf16 cache", rounded_cache);
}
