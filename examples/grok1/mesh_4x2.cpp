// The program on a mesh of data = 4, model = 2.
// SPDX-License-Identifier: Apache-2.0
#include "mesh_engine.hpp"

namespace grok1 {
MeshEntry mesh_4x2() { return runnable_mesh<4, 2>(); }
}  // namespace grok1
