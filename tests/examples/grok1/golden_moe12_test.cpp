// moe12, stage by stage against the float64 truth: twelve layers of experts.
// SPDX-License-Identifier: Apache-2.0
#include "support/golden_stages.hpp"

using namespace tess::test;

TEST_CASE("moe12: where nothing is rounded, every stage is far nearer to the truth than the reference's") {
  check_stages<Variant<Moe12, Forced, tess::f32>, 1, 1>("moe12", "f32 cache", unrounded);
}

TEST_CASE("moe12: on the reference's own mesh") {
  check_stages<Variant<Moe12, Forced, tess::f32>, 1, 8>("moe12", "f32 cache", unrounded);
}

TEST_CASE("moe12: with the bf16 cache, no worse than the reference") {
  check_stages<Variant<Moe12, Forced>, 1, 8>("moe12", "bf16 cache", rounded_cache);
}
