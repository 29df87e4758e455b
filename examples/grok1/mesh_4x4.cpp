// Two hosts of eight devices, for `grok1 plan` only: data = 4, model = 4.
// SPDX-License-Identifier: Apache-2.0
#include "mesh_bill.hpp"

namespace grok1 {
MeshEntry mesh_4x4() { return planned_mesh<4, 4>(); }
}  // namespace grok1
