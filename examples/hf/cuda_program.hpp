// A model of examples/ on one mesh of GPUs. Of CUDA sources.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../program/cuda_device.hpp"
#include "mesh_program.hpp"

namespace hf {

/// Model: as in mesh_program.
template <class Model, index_t Data, index_t Expert, index_t Tensor>
std::unique_ptr<generate::Engine> load_on_cuda(const LoadOptions& o) {
  using M = MeshOf<Data, Expert, Tensor>;
  const auto device = program::with_gpus(o.cuda, M::size);
  return o.weights == Weights::bf16 ? detail::load<Model, M, tess::Cuda, bf16>(o, device)
                                    : detail::load<Model, M, tess::Cuda, f32>(o, device);
}

}  // namespace hf
