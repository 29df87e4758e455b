// Attributes that the standard does not have.
// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Inlined whatever the optimiser thinks, so that the function takes on the instruction set of its caller.
#define TESS_ALWAYS_INLINE inline __attribute__((always_inline))
