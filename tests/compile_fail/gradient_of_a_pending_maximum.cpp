// A pending maximum is not linear, so there is no spec of its gradient
// SPDX-License-Identifier: Apache-2.0
// expect: is not linear, so it has no dual spec
// expect: extremum_has_no_gradient_spec<.*P<data, .*PartialMax<model> *>
#include <tess/sharding/dual.hpp>

using namespace tess;
struct data;
struct model;

#ifdef MUST_NOT_COMPILE
using gradient = cotangent<P<data, PartialMax<model>>>;
#else
using gradient = cotangent<P<data, Partial<model>>>;
#endif
using also = P<gradient>;
