// A pending value is a sum, a largest or a smallest, and not two of them
// SPDX-License-Identifier: Apache-2.0
// expect: is Partial, PartialMax or PartialMin, not two of them
// expect: pending_values_are_of_two_kinds<.*spec<.*P<.*Partial<data>, .*PartialMax<model>
#include <tess/device/dry.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;

#ifdef MUST_NOT_COMPILE
ShardedTensor<f32, Shape<64>, M, P<None, Partial<data>, PartialMax<model>>> x;
#else
ShardedTensor<f32, Shape<64>, M, P<None, Partial<data>, Partial<model>>> x;
#endif
