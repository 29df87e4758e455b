// Prefill and decode of the dense goldens: int8 weights, and f32 weights on a mesh of 2 x 4 with eight rows.
// SPDX-License-Identifier: Apache-2.0
#include "support/golden_decode.hpp"

using namespace tess::test;

TEST_CASE("dense: prefill, decode steps and caches are as near to the truth as the reference's") {
  check_generation<Dense, 1, 4>("dense");
}
TEST_CASE("dense_f32_2x4: prefill, decode steps and caches are as near to the truth as the reference's") {
  check_generation<DenseF32, 2, 4>("dense_f32_2x4");
}
TEST_CASE("dense: a row of a batch is what it is alone, and a prompt in chunks the prompt at once") {
  check_rows_alone<Dense, 4>("dense");
  check_chunks<Dense, 4>("dense");
}
