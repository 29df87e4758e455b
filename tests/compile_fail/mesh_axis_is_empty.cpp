// A mesh axis holds at least one device
// SPDX-License-Identifier: Apache-2.0
// expect: a mesh axis holds at least one device
#include <tess/mesh/mesh.hpp>

using namespace tess;
struct data;

#ifdef MUST_NOT_COMPILE
constexpr index_t n = Axis<data, 0>::size;
#else
constexpr index_t n = Axis<data, 1>::size;
#endif
