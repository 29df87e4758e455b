// Meshes of a few devices for `grok1 plan` only: nothing but data parallelism.
// SPDX-License-Identifier: Apache-2.0
#include "mesh_bill.hpp"

namespace grok1 {
MeshEntry mesh_2x1() { return planned_mesh<2, 1>(); }
MeshEntry mesh_4x1() { return planned_mesh<4, 1>(); }
}  // namespace grok1
