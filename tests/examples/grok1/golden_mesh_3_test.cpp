// moe12 on the meshes 2x4, 4x2 and 8x1.
// SPDX-License-Identifier: Apache-2.0
#include "support/golden_mesh.hpp"

using namespace tess::test;

TEST_CASE("moe12 on 2x4") { check_mesh<Moe12, 2, 4>("moe12", reordered_sums); }
TEST_CASE("moe12 on 4x2") { check_mesh<Moe12, 4, 2>("moe12", reordered_sums); }
TEST_CASE("moe12 on 8x1") { check_mesh<Moe12, 8, 1>("moe12", reordered_sums); }
