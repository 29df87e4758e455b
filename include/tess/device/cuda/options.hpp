// Options: which GPUs a process drives, and how it meets the other processes of the program.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

#include "../../core/error.hpp"
#include "../../core/types.hpp"

namespace tess::cuda {

/// How GPUs of one process exchange shards. `automatic`: by NCCL where every rank has a GPU of its own, else `peers`.
/// `peers`: kernels read the memory of the other GPUs, where they can. `copies`: the copy engines bring it.
enum class Connection { automatic, peers, copies };

struct Options {
  std::vector<int> gpus{0};            // numbers of the GPUs that this process drives
  index_t process = 0, processes = 1;  // of those that run the program together
  std::string meeting{};  // "host:port" at which process 0 gives NCCL's id to the others (bootstrap.hpp) …
  std::string nccl_id{};  // … or the id itself, of a program that brings it by MPI (make_nccl_id)
  double patience = 600;  // seconds that a process waits for the others
  Connection connection = Connection::automatic;
  index_t one_shot_bytes = 64 << 10;  // all-reduces of at most this are one kernel, where GPUs read each other's memory
  bool alone = false;  // for measurements: the other processes are not there; what they would send is made up
  int threads = 0;     // that read checkpoints; 0: one for each processor
  index_t staging_bytes = 32 << 20;  // of each of the blocks of pinned memory that parameters come through
};

}  // namespace tess::cuda
