// The axes of a mesh have distinct names
// SPDX-License-Identifier: Apache-2.0
// expect: two axes have the same name
#include <tess/mesh/mesh.hpp>

using namespace tess;
struct data;
struct model;

#ifdef MUST_NOT_COMPILE
constexpr index_t devices = Mesh<Axis<data, 2>, Axis<data, 4>>::size;
#else
constexpr index_t devices = Mesh<Axis<data, 2>, Axis<model, 4>>::size;
#endif
