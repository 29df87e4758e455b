// Places: which ranks of a mesh live in this process, and on which GPU each of them does.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../../core/error.hpp"
#include "../../core/types.hpp"

namespace tess::cuda {

/// One of `processes` equal processes, which drives `gpus` GPUs. A mesh of so many devices as there are GPUs in all
/// processes has one rank on each, in order. A process on its own also takes larger meshes: then ranks share its GPUs, in
/// equal runs, as a simulated mesh.
struct Places {
  index_t process = 0, processes = 1, gpus = 1;

  /// Throws Error for a mesh that does not fit.
  void check(index_t ranks) const {
    const index_t all = processes * gpus;
    if (processes > 1 ? ranks != all : ranks > gpus && ranks % gpus != 0)
      fail("[cuda] a mesh of ", ranks, " devices does not fit ", processes, " processes with ", gpus,
           " GPUs each: start as many as the mesh has devices",
           processes > 1 ? "" : ", or a number of GPUs that divides it, to simulate the rest");
  }
  bool is_here(index_t rank) const { return processes == 1 || rank / gpus == process; }
  /// The GPU of a rank that is here, among those of this process.
  index_t gpu_of(index_t rank, index_t ranks) const {
    if (processes > 1) return rank % gpus;
    return ranks <= gpus ? rank : rank / (ranks / gpus);
  }
  /// Does every rank have a GPU of its own? Then NCCL can connect them.
  bool one_gpu_each(index_t ranks) const { return processes > 1 || ranks <= gpus; }
};

}  // namespace tess::cuda
