// Prefill and decode of the goldens with experts: two rows, each at its own step, in one batch.
// SPDX-License-Identifier: Apache-2.0
#include "support/golden_decode.hpp"

using namespace tess::test;

TEST_CASE("moe12: prefill, decode steps and caches are as near to the truth as the reference's") {
  check_generation<Moe12, 1, 8>("moe12");
}
TEST_CASE("moe2: prefill, decode steps and caches are as near to the truth as the reference's") {
  check_generation<Moe2, 1, 1>("moe2");
}
TEST_CASE("a row of a batch is what it is alone") { check_rows_alone<Moe2, 1>("moe2"); }
TEST_CASE("a row of a batch is what it is alone, on a mesh") { check_rows_alone<Moe12, 8>("moe12"); }
TEST_CASE("a prompt in chunks is the prompt at once") { check_chunks<Moe2, 1>("moe2"); }
TEST_CASE("a prompt in chunks is the prompt at once, on a mesh") { check_chunks<Moe12, 8>("moe12"); }
