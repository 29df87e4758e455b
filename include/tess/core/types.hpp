// The two words every header needs: the signed index type and the extent that is known only at run time.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>

namespace tess {

/// Signed, as in mdspan's discussion and JAX: differences of extents are ordinary numbers.
using index_t = std::ptrdiff_t;

/// An extent known only at run time (cf. std::dynamic_extent).
inline constexpr index_t dyn = -1;

}  // namespace tess
