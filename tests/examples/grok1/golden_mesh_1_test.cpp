// moe12 on the meshes 1x1 and 1x2 against itself unsharded.
// SPDX-License-Identifier: Apache-2.0
#include "support/golden_mesh.hpp"

using namespace tess::test;

template Outcome tess::test::outcome<MoeOnMesh, 1, 1>(const std::string&, Strategy);

TEST_CASE("moe12 on 1x1") { check_mesh<MoeOnMesh, 1, 1>("moe12", 0); }
TEST_CASE("moe12 on 1x2") { check_mesh<MoeOnMesh, 1, 2>("moe12", two_int8_terms); }
