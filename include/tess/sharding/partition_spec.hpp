// P, the PartitionSpec: for each dimension the mesh axes that shard it, and the axes over which a sum is still pending.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <type_traits>

#include "../core/types.hpp"

namespace tess {

/// This dimension is not sharded. (X11's headers define a macro of this name: include them later, or #undef it.)
struct None {};

/// This dimension is sharded over several mesh axes, major to minor.
template <class... Names>
struct Axes {};

/// After the dimensions: the devices along these axes hold addends, whose sum is the value (JAX says `unreduced`).
template <class... Names>
struct Partial {};

/// `P<data, None, Axes<data, model>, Partial<model>>`. Shorter than the rank means None for the rest.
template <class... Entries>
struct P {};

namespace detail {
template <class>
inline constexpr bool is_partial_entry = false;
template <class... N>
inline constexpr bool is_partial_entry<Partial<N...>> = true;
template <class>
inline constexpr bool is_spec = false;
template <class... E>
inline constexpr bool is_spec<P<E...>> = true;

/// Entries that stand for dimensions.
template <class>
inline constexpr int dims_of = 0;
template <class... E>
inline constexpr int dims_of<P<E...>> = (int(!is_partial_entry<E>) + ... + 0);
}  // namespace detail

template <class S>
concept AnySpec = detail::is_spec<S>;

}  // namespace tess
