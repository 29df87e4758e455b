// moe12 on the meshes 1x8 and 2x2.
// SPDX-License-Identifier: Apache-2.0
#include "support/golden_mesh.hpp"

using namespace tess::test;

TEST_CASE("moe12 on 1x8") { check_mesh<Moe12, 1, 8>("moe12", reordered_sums); }
TEST_CASE("moe12 on 2x2") { check_mesh<Moe12, 2, 2>("moe12", reordered_sums); }
