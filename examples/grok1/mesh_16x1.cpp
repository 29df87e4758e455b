// Two hosts of eight devices, for `grok1 plan` only: data = 16, model = 1.
// SPDX-License-Identifier: Apache-2.0
#include "mesh_bill.hpp"

namespace grok1 {
MeshEntry mesh_16x1() { return planned_mesh<16, 1>(); }
}  // namespace grok1
