// The program on a mesh of data = 1, model = 1.
// SPDX-License-Identifier: Apache-2.0
#include "mesh_engine.hpp"

namespace grok1 {
MeshEntry mesh_1x1() { return runnable_mesh<1, 1>(); }
}  // namespace grok1
