// Two hosts of eight devices, for `grok1 plan` only: data = 1, model = 16.
// SPDX-License-Identifier: Apache-2.0
#include "mesh_bill.hpp"

namespace grok1 {
MeshEntry mesh_1x16() { return planned_mesh<1, 16>(); }
}  // namespace grok1
