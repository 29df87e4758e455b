// The program on GPUs, on a mesh of data = 2, model = 8: two nodes of eight.
// SPDX-License-Identifier: Apache-2.0
#include "cuda_engine.hpp"

namespace grok1 {
std::unique_ptr<Engine> cuda_2x8(const EngineOptions& o) { return cuda_engine<2, 8>(o); }
}  // namespace grok1
