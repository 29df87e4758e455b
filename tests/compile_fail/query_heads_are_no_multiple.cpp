// The number of query heads is a multiple of the number of key/value heads
// SPDX-License-Identifier: Apache-2.0
// expect: the number of query heads is a multiple of the number of key/value heads
#include <tess/nn/multi_head_attention.hpp>

using namespace tess;

#ifdef MUST_NOT_COMPILE
constexpr index_t width = nn::Heads<48, 9, 128>::width;
#else
constexpr index_t width = nn::Heads<48, 8, 128>::width;
#endif
