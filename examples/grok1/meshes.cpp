// The table of the meshes that the program was built for.
// SPDX-License-Identifier: Apache-2.0
#include <tess/core/error.hpp>

#include "engine.hpp"

namespace grok1 {

MeshEntry mesh_1x1();
MeshEntry mesh_1x2();
MeshEntry mesh_2x1();
MeshEntry mesh_1x4();
MeshEntry mesh_2x2();
MeshEntry mesh_4x1();
MeshEntry mesh_1x8();
MeshEntry mesh_2x4();
MeshEntry mesh_4x2();
MeshEntry mesh_8x1();
MeshEntry mesh_1x16();
MeshEntry mesh_2x8();
MeshEntry mesh_4x4();
MeshEntry mesh_8x2();
MeshEntry mesh_16x1();

const std::vector<MeshEntry>& mesh_table() {
  static const std::vector<MeshEntry> table = {mesh_1x1(),  mesh_1x2(), mesh_2x1(), mesh_1x4(), mesh_2x2(),
                                               mesh_4x1(),  mesh_1x8(), mesh_2x4(), mesh_4x2(), mesh_8x1(),
                                               mesh_1x16(), mesh_2x8(), mesh_4x4(), mesh_8x2(), mesh_16x1()};
  return table;
}

const MeshEntry& find_mesh(const std::string& name) {
  std::string known;
  for (const MeshEntry& e : mesh_table()) {
    if (e.name == name) return e;
    known += (known.empty() ? "" : " ") + e.name;
  }
  tess::fail("mesh \"", name, "\" is unknown; choose one of: ", known);
}

}  // namespace grok1
