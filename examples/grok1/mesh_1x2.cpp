// The program on a mesh of data = 1, model = 2.
// SPDX-License-Identifier: Apache-2.0
#include "mesh_engine.hpp"

namespace grok1 {
MeshEntry mesh_1x2() { return runnable_mesh<1, 2>(); }
}  // namespace grok1
