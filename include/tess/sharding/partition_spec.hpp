// P, the PartitionSpec: for each dimension the mesh axes that shard it, and the axes over which a value is pending.
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

/// The same where the value is the largest, or the smallest, of what the devices hold (JAX: `kind=max`, `kind=min`).
template <class... Names>
struct PartialMax {};
template <class... Names>
struct PartialMin {};

/// After the dimensions: whole on every device along these axes, with a gradient that is Partial over them (JAX says
/// `reduced`). A mark for training: in placement it is nothing.
template <class... Names>
struct Reduced {};

/// `P<data, None, Axes<data, model>, Partial<model>>`. Shorter than the rank means None for the rest.
template <class... Entries>
struct P {};

namespace detail {
template <class>
inline constexpr bool is_beside_dims = false;
template <class... N>
inline constexpr bool is_beside_dims<Partial<N...>> = true;
template <class... N>
inline constexpr bool is_beside_dims<PartialMax<N...>> = true;
template <class... N>
inline constexpr bool is_beside_dims<PartialMin<N...>> = true;
template <class... N>
inline constexpr bool is_beside_dims<Reduced<N...>> = true;
template <class>
inline constexpr bool is_spec = false;
template <class... E>
inline constexpr bool is_spec<P<E...>> = true;

/// Entries that stand for dimensions.
template <class>
inline constexpr int dims_of = 0;
template <class... E>
inline constexpr int dims_of<P<E...>> = (int(!is_beside_dims<E>) + ... + 0);
}  // namespace detail

template <class S>
concept AnySpec = detail::is_spec<S>;

}  // namespace tess
