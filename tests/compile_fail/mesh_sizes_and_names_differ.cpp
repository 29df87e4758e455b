// A mesh over hosts has one size within a host and one between hosts for every axis
// SPDX-License-Identifier: Apache-2.0
// expect: one size within a host and one between hosts for every axis name
// expect: mesh_sizes_and_names_differ<.*Local<1, 8>, .*Between<2>, <?data, model>
#include <tess/mesh/make_mesh.hpp>

using namespace tess;
struct data;
struct model;

#ifdef MUST_NOT_COMPILE
using M = make_mesh<Local<1, 8>, Between<2>, data, model>;
#else
using M = make_mesh<Local<1, 8>, Between<2, 1>, data, model>;
#endif
constexpr index_t devices = M::size;
