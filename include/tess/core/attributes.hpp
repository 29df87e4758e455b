// Attributes that the standard does not have.
// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Inlined whatever the optimiser thinks, so that the function takes on the instruction set of its caller.
#define TESS_ALWAYS_INLINE inline __attribute__((always_inline))

/// Before a loop of constant length whose body belongs in registers. (nvcc does not know g++'s pragma.)
#ifdef __CUDACC__
#define TESS_UNROLL(n)
#else
#define TESS_PRAGMA(text) _Pragma(#text)
#define TESS_UNROLL(n) TESS_PRAGMA(GCC unroll n)
#endif
