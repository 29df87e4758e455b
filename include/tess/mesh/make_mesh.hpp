// make_mesh: a mesh over several hosts from its shape within one host and its shape between hosts, in JAX's order.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../core/error.hpp"
#include "../core/facts.hpp"
#include "mesh.hpp"

namespace tess {

/// Sizes of the axes among the devices of one host, and among hosts.
template <index_t... Size>
struct Local {
  static constexpr int rank = sizeof...(Size);
  static constexpr index_t size = (Size * ... * index_t{1});
};
template <index_t... Size>
struct Between {
  static constexpr int rank = sizeof...(Size);
  static constexpr index_t size = (Size * ... * index_t{1});
};

template <class Local, class Between, class... Name>
struct mesh_sizes_and_names_differ {
  static_assert(
      detail::always_false<Local>,
      "[mesh] make_mesh needs one size within a host and one between hosts for every axis name: give Local and "
      "Between as many sizes as there are names");
  static constexpr bool ok = true;
};

namespace detail {
template <class L, class B, class... Name>
inline constexpr bool sizes_fit_names = L::rank == B::rank&& L::rank == static_cast<int>(sizeof...(Name));

template <bool Fit, class L, class B, class... Name>
struct hybrid_mesh {  // recovery after a reported fault: a mesh with these names
  using type = Mesh<Axis<Name, 1>...>;
};
template <index_t... L, index_t... B, class... Name>
struct hybrid_mesh<true, Local<L...>, Between<B...>, Name...> {
  using type = Mesh<HybridAxis<Name, B, L>...>;
};
template <class L, class B, class... Name>
struct checked_mesh : hybrid_mesh<sizes_fit_names<L, B, Name...>, L, B, Name...> {
  static_assert(holds_or<sizes_fit_names<L, B, Name...>, mesh_sizes_and_names_differ<L, B, Name...>>::ok);
};
}  // namespace detail

/// `make_mesh<Local<1, 8>, Between<2, 1>, data, model>`: two hosts of eight devices. Along every axis the host is the
/// major part, the device within it the minor one. Source: jax/_src/mesh_utils.py:865-938, create_hybrid_device_mesh.
template <class L, class B, class... Name>
using make_mesh = typename detail::checked_mesh<L, B, Name...>::type;

/// Hosts that a mesh spans, and devices of each.
template <AnyMesh M>
inline constexpr index_t host_count = [] {
  index_t n = 1;
  for (int a = 0; a < M::rank; ++a) n *= M::between_hosts(a) ? M::axis_size(a) : 1;
  return n;
}();
template <AnyMesh M>
inline constexpr index_t devices_per_host = M::size / host_count<M>;

namespace detail {
template <class M>
constexpr index_t number_along(index_t device, bool between) {
  index_t at = 0;
  for (int a = 0; a < M::rank; ++a)
    if (M::between_hosts(a) == between) at = at * M::axis_size(a) + M::coordinate(device, a);
  return at;
}
}  // namespace detail

/// Where the device with mesh number `device` stands: in which host, and as which of its devices.
template <AnyMesh M>
constexpr index_t host_of(index_t device) {
  return detail::number_along<M>(device, true);
}
template <AnyMesh M>
constexpr index_t index_in_host(index_t device) {
  return detail::number_along<M>(device, false);
}
/// Devices numbered host by host, as JAX numbers them.
template <AnyMesh M>
constexpr index_t physical_device(index_t device) {
  return host_of<M>(device) * devices_per_host<M> + index_in_host<M>(device);
}

/// Does the machine that the program finds itself on fit the mesh? Throws Error with both numbers.
template <AnyMesh M>
constexpr void check_machine(index_t hosts, index_t devices_in_each) {
  if (hosts != host_count<M>)
    fail("[mesh] the machine has ", hosts, " hosts, but the mesh spans ", host_count<M>,
         ": the sizes of Between<...> must multiply to the number of hosts");
  if (devices_in_each != devices_per_host<M>)
    fail("[mesh] a host has ", devices_in_each, " devices, but the mesh takes ", devices_per_host<M>,
         " of each: the sizes of Local<...> must multiply to the devices of one host");
}

}  // namespace tess
