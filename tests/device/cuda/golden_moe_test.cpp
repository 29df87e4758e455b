// Grok-1's goldens with experts through the Cuda device, ranks simulated on one GPU: as near to the truth as on Host.
// SPDX-License-Identifier: Apache-2.0
#include <tess/cuda.hpp>

#include "support/golden_mesh.hpp"

using namespace tess::test;
using tess::Cuda;

TEST_CASE("moe12 on 1x8: prefill, decode steps and caches are as near to the truth as the reference's") {
  check_generation<Moe12, 1, 8, Cuda>("moe12");
}
TEST_CASE("moe2 on 1x1: prefill, decode steps and caches are as near to the truth as the reference's") {
  check_generation<Moe2, 1, 1, Cuda>("moe2");
}
TEST_CASE("moe12 on 2x2: every step moves the bytes of the bill, and logits and caches are Host's") {
  using C = Variant<Moe12, tess::nn::SoftmaxTopK<>, tess::f32>;
  const Outcome host = outcome<C, 2, 2>("moe12"), cuda = outcome_on<Cuda, C, 2, 2>("moe12");
  CHECK(relative_error(cuda.prefill, host.prefill) <= two_int8_terms + rounded_logits);
  CHECK(relative_error(cuda.decode, host.decode) <= two_int8_terms + rounded_logits);
  CHECK(relative_error(cuda.keys, host.keys) <= two_int8_terms);
  CHECK(relative_error(cuda.values, host.values) <= two_int8_terms);
  CHECK(cuda.prefill_collectives == host.prefill_collectives);
  CHECK(cuda.prefill_bytes == host.prefill_bytes);
  CHECK(cuda.decode_collectives == host.decode_collectives);
  CHECK(cuda.decode_bytes == host.decode_bytes);
}
