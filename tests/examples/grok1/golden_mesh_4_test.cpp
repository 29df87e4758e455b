// moe12 on the meshes 4x2 and 8x1 against itself unsharded.
// SPDX-License-Identifier: Apache-2.0
#include "support/golden_mesh.hpp"

using namespace tess::test;

TEST_CASE("moe12 on 4x2") { check_mesh<MoeOnMesh, 4, 2>("moe12", two_int8_terms); }
TEST_CASE("moe12 on 8x1") { check_mesh<MoeOnMesh, 8, 1>("moe12", two_int8_terms); }
