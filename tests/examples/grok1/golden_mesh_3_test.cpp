// moe12 on the meshes 2x2 and 2x4 against itself unsharded.
// SPDX-License-Identifier: Apache-2.0
#include "support/golden_mesh.hpp"

using namespace tess::test;

TEST_CASE("moe12 on 2x2") { check_mesh<MoeOnMesh, 2, 2>("moe12", two_int8_terms); }
TEST_CASE("moe12 on 2x4") { check_mesh<MoeOnMesh, 2, 4>("moe12", two_int8_terms); }
