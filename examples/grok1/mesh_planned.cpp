// Meshes of several hosts, for `grok1 plan` only: data = 2, model = 8 (two hosts of eight) and data = 1, model = 16.
// SPDX-License-Identifier: Apache-2.0
#include "mesh_engine.hpp"

namespace grok1 {
MeshEntry mesh_2x8() { return planned_mesh<2, 8>(); }
MeshEntry mesh_1x16() { return planned_mesh<1, 16>(); }
}  // namespace grok1
