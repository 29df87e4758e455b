// moe12 on the meshes 1x1, 1x2 and 1x4.
// SPDX-License-Identifier: Apache-2.0
#include "support/golden_mesh.hpp"

using namespace tess::test;

TEST_CASE("moe12 on 1x1 is itself, and moves nothing") { check_mesh<Moe12, 1, 1>("moe12", 0); }
TEST_CASE("moe12 on 1x2") { check_mesh<Moe12, 1, 2>("moe12", reordered_sums); }
TEST_CASE("moe12 on 1x4") { check_mesh<Moe12, 1, 4>("moe12", reordered_sums); }
