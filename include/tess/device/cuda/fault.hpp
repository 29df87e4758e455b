// What a kernel finds wrong in its data: noted once on the GPU, thrown as `Error` when the host next waits for it.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cuda_runtime.h>

#include "../../core/error.hpp"
#include "../../core/types.hpp"

namespace tess::cuda {

enum class FaultCode : int { none, token_outside_table, expert_outside_model, expert_named_twice };

/// The first fault of a GPU. Lies in memory that the host reads.
struct Fault {
  int code = 0;
  long long found = 0, limit = 0;
};

__device__ inline void report(Fault* fault, FaultCode code, index_t found, index_t limit) {
  if (atomicCAS(&fault->code, 0, static_cast<int>(code)) == 0) fault->found = found, fault->limit = limit;
}

/// Throws what was reported, if anything, and clears it.
inline void throw_if_reported(Fault& fault) {
  const Fault f = fault;
  fault = {};
  switch (static_cast<FaultCode>(f.code)) {
    case FaultCode::none:
      return;
    case FaultCode::token_outside_table:
      fail("[take] token id ", f.found, " is outside the table of ", f.limit, " rows");
    case FaultCode::expert_outside_model:
      fail("[dispatch] a token is routed to expert ", f.found, ", but ", f.limit,
           " are declared (MoELayer's expert_count)");
    case FaultCode::expert_named_twice:
      fail("[dispatch] a token names one expert several times: ", f.limit, " rows at most");
  }
}

}  // namespace tess::cuda
