// Cuda: NVIDIA GPUs as a device: those of one process, or of several that NCCL connects; or a mesh simulated on one.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "cuda/attention_verbs.hpp"
#include "cuda/base.hpp"
#include "cuda/block_verbs.hpp"
#include "cuda/element_verbs.hpp"
#include "cuda/exchange_verbs.hpp"
#include "cuda/expert_verbs.hpp"
#include "cuda/lookup_verbs.hpp"
#include "cuda/product_verbs.hpp"
#include "cuda/replay.hpp"
#include "cuda/routing_verbs.hpp"
#include "cuda/row_verbs.hpp"
#include "cuda/sample_verbs.hpp"
#include "cuda/structure_verbs.hpp"
#include "cuda/weight_verbs.hpp"
#include "device.hpp"

namespace tess {

class Cuda : public cuda::Base,
             public cuda::AttentionVerbs<Cuda>,
             public cuda::BlockVerbs<Cuda>,
             public cuda::ElementVerbs<Cuda>,
             public cuda::ExchangeVerbs<Cuda>,
             public cuda::ExpertVerbs<Cuda>,
             public cuda::LookupVerbs<Cuda>,
             public cuda::ProductVerbs<Cuda>,
             public cuda::RoutingVerbs<Cuda>,
             public cuda::RowVerbs<Cuda>,
             public cuda::SampleVerbs<Cuda>,
             public cuda::StructureVerbs<Cuda>,
             public cuda::WeightVerbs<Cuda>,
             public cuda::ReplayVerbs<Cuda> {  // last: graphs end first, NCCL's communicators wait for them
 public:
  explicit Cuda(const cuda::Options& options = {}) : Base(options) {}
};

}  // namespace tess
