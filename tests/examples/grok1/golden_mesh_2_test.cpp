// moe12 on the meshes 1x4 and 1x8 against itself unsharded.
// SPDX-License-Identifier: Apache-2.0
#include "support/golden_mesh.hpp"

using namespace tess::test;

TEST_CASE("moe12 on 1x4") { check_mesh<MoeOnMesh, 1, 4>("moe12", two_int8_terms); }
TEST_CASE("moe12 on 1x8") { check_mesh<MoeOnMesh, 1, 8>("moe12", two_int8_terms); }
