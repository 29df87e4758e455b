// bills_alike: whether two layers of one type cost the same, so that a bill need not be added up for each.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <tuple>
#include <utility>

namespace tess::nn {

/// A layer with run-time numbers on which its bill depends, such as a window of attention, has a member `bills_as(other)`;
/// so has one that contains such layers. Of all others equal types cost the same.
template <class Layer>
constexpr bool bills_alike(const Layer& a, const Layer& b) {
  if constexpr (requires { a.bills_as(b); }) return a.bills_as(b);
  else return true;
}

namespace detail {
template <class Layers, std::size_t... I>
constexpr bool each_bills_alike(const Layers& a, const Layers& b, std::index_sequence<I...>) {
  return (bills_alike(std::get<I>(a), std::get<I>(b)) && ...);
}
}  // namespace detail
/// All of several layers.
template <class... L>
constexpr bool bills_alike(const std::tuple<L...>& a, const std::tuple<L...>& b) {
  return detail::each_bills_alike(a, b, std::index_sequence_for<L...>{});
}

}  // namespace tess::nn
