// Mixtral on meshes data x expert x model against the model on one device: whole experts on different devices.
// SPDX-License-Identifier: Apache-2.0
#include "tiny.hpp"

using namespace tess::test;

TEST_CASE("mixtral on 1x2x1") { check_mesh<hf::Mixtral, TinyMixtral, 1, 2, 1>("mixtral"); }
TEST_CASE("mixtral on 1x4x1") { check_mesh<hf::Mixtral, TinyMixtral, 1, 4, 1>("mixtral"); }
TEST_CASE("mixtral on 1x2x2") { check_mesh<hf::Mixtral, TinyMixtral, 1, 2, 2>("mixtral"); }
TEST_CASE("mixtral on 2x2x2") { check_mesh<hf::Mixtral, TinyMixtral, 2, 2, 2>("mixtral"); }
