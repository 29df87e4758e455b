// Two hosts of eight devices, for `grok1 plan` only: data = 8, model = 2.
// SPDX-License-Identifier: Apache-2.0
#include "mesh_bill.hpp"

namespace grok1 {
MeshEntry mesh_8x2() { return planned_mesh<8, 2>(); }
}  // namespace grok1
