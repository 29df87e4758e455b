// The program on GPUs, on a mesh of data = 1, model = 8.
// SPDX-License-Identifier: Apache-2.0
#include "cuda_engine.hpp"

namespace grok1 {
std::unique_ptr<Engine> cuda_1x8(const EngineOptions& o) { return cuda_engine<1, 8>(o); }
}  // namespace grok1
