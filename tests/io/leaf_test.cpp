// Which scales belong to which weights.
// SPDX-License-Identifier: Apache-2.0
#include "tess/io/leaf.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "support/files.hpp"

using namespace tess;
using namespace tess::io;
using namespace tess::test;

namespace {

std::string judge(const std::vector<index_t>& weight, const std::vector<index_t>& scales) {
  return error_of([&] {
    check_quantized("leaf", {DType::i8, weight, {}, 0, nullptr}, {DType::bf16, scales, {}, 0, nullptr});
  });
}

}  // namespace

TEST_CASE("G is any divisor of K, the other dimensions are equal") {
  for (const index_t groups : {1, 2, 4, 8, 11, 16, 22, 44, 88, 176})
    CHECK(judge({8, 176, 32}, {8, groups, 32}).empty());
  for (const index_t groups : {0, 3, 5, 175, 177, 352})
    CHECK(contains(judge({8, 176, 32}, {8, groups, 32}), "must divide"));
  CHECK(judge({6144, 1024}, {1, 1024}).empty());
  CHECK(judge({6144, 1024}, {1024, 1}) ==
        "leaf: weight i8[6144, 1024] and scales bf16[1024, 1] do not belong together:\n"
        "  their last dimension must be equal: one scale a column.");
}

TEST_CASE("groups() is G, or 0 without scales") {
  Leaf leaf;
  CHECK(leaf.groups() == 0);
  leaf.scales = ArrayView{DType::bf16, {8, 4, 32}, {}, 0, nullptr};
  CHECK(leaf.groups() == 4);
}
