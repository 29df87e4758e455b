// An extent is a number of elements, or dyn
// SPDX-License-Identifier: Apache-2.0
// expect: an extent is a number >= 0 or tess::dyn
#include <tess/tensor/shape.hpp>

using namespace tess;

#ifdef MUST_NOT_COMPILE
constexpr int rank = Shape<3, -2>::rank;
#else
constexpr int rank = Shape<3, dyn>::rank;
#endif
