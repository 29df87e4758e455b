// Mixtral on meshes data x expert x model against the model on one device: without an expert axis.
// SPDX-License-Identifier: Apache-2.0
#include "tiny.hpp"

using namespace tess::test;

TEST_CASE("mixtral on 1x1x2") { check_mesh<hf::Mixtral, TinyMixtral, 1, 1, 2>("mixtral"); }
TEST_CASE("mixtral on 1x1x4") { check_mesh<hf::Mixtral, TinyMixtral, 1, 1, 2, 2>("mixtral"); }
TEST_CASE("mixtral on 2x1x1") { check_mesh<hf::Mixtral, TinyMixtral, 2, 1, 1>("mixtral"); }
TEST_CASE("mixtral on 2x1x2") { check_mesh<hf::Mixtral, TinyMixtral, 2, 1, 2>("mixtral"); }
TEST_CASE("mixtral on 2x1x4") { check_mesh<hf::Mixtral, TinyMixtral, 2, 1, 2, 2>("mixtral"); }
