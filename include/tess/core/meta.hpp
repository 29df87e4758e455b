// Three questions about lists of types, answered without recursion where compile time would notice.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <type_traits>

namespace tess::detail {

/// Position of T among Ts, or -1: absence is a fact that the caller judges, not an error here.
template <class T, class... Ts>
constexpr int index_of() {
  constexpr bool same[] = {std::is_same_v<T, Ts>..., false};
  for (int i = 0; i < static_cast<int>(sizeof...(Ts)); ++i)
    if (same[i]) return i;
  return -1;
}

template <int I, class... Ts>
struct nth;
template <int I, class Head, class... Tail>
struct nth<I, Head, Tail...> : nth<I - 1, Tail...> {};
template <class Head, class... Tail>
struct nth<0, Head, Tail...> {
  using type = Head;
};
template <int I, class... Ts>
using nth_t = typename nth<I, Ts...>::type;

template <class>
inline constexpr bool always_false = false;

}  // namespace tess::detail
