// The program on a mesh of data = 8, model = 1.
// SPDX-License-Identifier: Apache-2.0
#include "mesh_engine.hpp"

namespace grok1 {
MeshEntry mesh_8x1() { return runnable_mesh<8, 1>(); }
}  // namespace grok1
