// TopKRouting: what a routing policy that is a softmax and the k largest says of itself.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace tess {

/// A policy with `TopKRouting as_top_k() const` lets a device compute it in its own way, with the same results but for the
/// order of sums.
struct TopKRouting {
  bool softmax_first;  // over all experts, then the largest; else over the largest logits
  bool normalize;      // the weights of a token add up to one
};

}  // namespace tess
