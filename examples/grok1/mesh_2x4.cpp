// The program on a mesh of data = 2, model = 4.
// SPDX-License-Identifier: Apache-2.0
#include "mesh_engine.hpp"

namespace grok1 {
MeshEntry mesh_2x4() { return runnable_mesh<2, 4>(); }
}  // namespace grok1
