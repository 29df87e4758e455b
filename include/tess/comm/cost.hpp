// Cost: the bill of a program for one device, in integers.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../core/types.hpp"

namespace tess {

struct Cost {
  index_t collectives = 0;  // steps that move bytes
  index_t bytes = 0;        // received by one device
  index_t flops = 0;        // of one device; a multiply-add counts two
  index_t peak_bytes = 0;   // activations alive at once on one device (parameters and caches are not among them)

  constexpr bool operator==(const Cost&) const = default;
};

}  // namespace tess
