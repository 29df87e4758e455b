// The program's engine on GPUs. Of CUDA sources, one for each mesh (cuda_*.cu).
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../program/cuda_device.hpp"
#include "mesh_engine.hpp"

namespace grok1 {

template <index_t Data, index_t Model>
std::unique_ptr<Engine> cuda_engine(const EngineOptions& o) {
  return detail::make_engine<ProgramMesh<Data, Model>, tess::Cuda>(o, program::with_gpus(o.cuda, Data * Model));
}

}  // namespace grok1
