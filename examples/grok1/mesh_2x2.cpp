// The program on a mesh of data = 2, model = 2.
// SPDX-License-Identifier: Apache-2.0
#include "mesh_engine.hpp"

namespace grok1 {
MeshEntry mesh_2x2() { return runnable_mesh<2, 2>(); }
}  // namespace grok1
