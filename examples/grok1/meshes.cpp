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

#if TESS_WITH_CUDA
std::unique_ptr<Engine> cuda_1x1(const EngineOptions&);
std::unique_ptr<Engine> cuda_1x8(const EngineOptions&);
#endif
#if TESS_ALL_CUDA_MESHES
std::unique_ptr<Engine> cuda_1x2(const EngineOptions&);
std::unique_ptr<Engine> cuda_2x8(const EngineOptions&);
#endif

namespace {
std::vector<MeshEntry> all_meshes() {
  std::vector<MeshEntry> table = {mesh_1x1(),  mesh_1x2(), mesh_2x1(), mesh_1x4(), mesh_2x2(),
                                  mesh_4x1(),  mesh_1x8(), mesh_2x4(), mesh_4x2(), mesh_8x1(),
                                  mesh_1x16(), mesh_2x8(), mesh_4x4(), mesh_8x2(), mesh_16x1()};
  for ([[maybe_unused]] MeshEntry& e : table) {
#if TESS_WITH_CUDA
    if (e.name == "1x1") e.make_cuda_engine = cuda_1x1;
    if (e.name == "1x8") e.make_cuda_engine = cuda_1x8;
#endif
#if TESS_ALL_CUDA_MESHES
    if (e.name == "1x2") e.make_cuda_engine = cuda_1x2;
    if (e.name == "2x8") e.make_cuda_engine = cuda_2x8;
#endif
  }
  return table;
}
}  // namespace

const std::vector<MeshEntry>& mesh_table() {
  static const std::vector<MeshEntry> table = all_meshes();
  return table;
}

std::string built_meshes(bool on_cuda) {
  std::string names;
  for (const MeshEntry& e : mesh_table())
    if (on_cuda ? e.make_cuda_engine : e.make_engine) names += (names.empty() ? "" : " ") + e.name;
  return names;
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
