// spec_text: a PartitionSpec as text, in JAX's notation with the pending axes behind.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

#include "../core/type_name.hpp"
#include "spec_value.hpp"

namespace tess {

namespace detail {
template <class M, std::size_t... I>
std::string_view axis_text(int axis, std::index_sequence<I...>) {
  constexpr std::string_view names[] = {type_name<typename M::template axis_name<static_cast<int>(I)>>()..., ""};
  return names[axis];
}
}  // namespace detail

/// The name of an axis of M.
template <AnyMesh M>
std::string_view axis_text(int axis) {
  return detail::axis_text<M>(axis, std::make_index_sequence<static_cast<std::size_t>(M::rank)>{});
}

/// "P(None, (data, model), Partial(model))".
template <AnyMesh M>
std::string spec_text(const SpecValue& s) {
  std::string text = "P(";
  auto separate = [&text] {
    if (text.back() != '(') text += ", ";
  };
  for (int d = 0; d < s.rank; ++d) {
    separate();
    if (s[d].count == 0) text += "None";
    if (s[d].count > 1) text += '(';
    for (int i = 0; i < s[d].count; ++i) {
      if (i > 0) text += ", ";
      text += axis_text<M>(s[d][i]);
    }
    if (s[d].count > 1) text += ')';
  }
  if (s.partial) {
    separate();
    text += "Partial(";
    for (int a = 0; a < M::rank; ++a)
      if (s.partial >> a & 1u) {
        separate();
        text += axis_text<M>(a);
      }
    text += ')';
  }
  return text + ')';
}

}  // namespace tess
