// Two hosts of eight devices, for `grok1 plan` only: data = 2, model = 8.
// SPDX-License-Identifier: Apache-2.0
#include "mesh_bill.hpp"

namespace grok1 {
MeshEntry mesh_2x8() { return planned_mesh<2, 8>(); }
}  // namespace grok1
