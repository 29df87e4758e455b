// spec_text: a PartitionSpec as text, in JAX's notation with the pending and the reduced axes behind.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

#include "../core/type_name.hpp"
#include "spec_value.hpp"

namespace tess {

namespace detail {
template <class M, std::size_t... I>
std::string_view axis_of_position(int position, std::index_sequence<I...>) {
  constexpr std::string_view names[] = {
      type_name<typename wanted_part<typename M::template axis_name<static_cast<int>(I)>>::name>()..., ""};
  return names[position];
}
}  // namespace detail

/// The name of `count` neighbouring positions of one axis of M: "model", or for a part of it, as Shardy writes it,
/// "model:(2)4": the 4 after the first 2.
template <AnyMesh M>
std::string axis_text(int first, int count = 1) {
  std::string text(detail::axis_of_position<M>(first, std::make_index_sequence<static_cast<std::size_t>(M::rank)>{}));
  index_t before = 1, size = 1, whole = 1;
  for (int i = 0; i < M::rank; ++i) {
    if (M::axis_of(i) != M::axis_of(first)) continue;
    whole *= M::axis_size(i);
    if (i < first) before *= M::axis_size(i);
    else if (i < first + count) size *= M::axis_size(i);
  }
  if (size != whole) text += ":(" + std::to_string(before) + ")" + std::to_string(size);
  return text;
}

/// Axes side by side: "data, model".
template <AnyMesh M>
std::string axes_text(const DimAxes& axes) {
  const detail::NamedRuns runs = detail::named_runs<M>(axes);
  std::string text;
  for (int i = 0; i < runs.count; ++i) text += (i ? ", " : "") + axis_text<M>(runs[i].first, runs[i].count);
  return text;
}

/// "P(None, (data, model), Partial(model))".
template <AnyMesh M>
std::string spec_text(const SpecValue& s) {
  std::string text = "P(";
  const auto add = [&text](const std::string& entry) { text += (text.back() == '(' ? "" : ", ") + entry; };
  for (int d = 0; d < s.rank; ++d) {
    const bool several = detail::named_runs<M>(s[d]).count > 1;
    add(s[d].count == 0 ? "None" : several ? "(" + axes_text<M>(s[d]) + ")" : axes_text<M>(s[d]));
  }
  constexpr const char* kinds[] = {"Partial(", "PartialMax(", "PartialMin("};
  if (s.partial) add(kinds[static_cast<int>(s.kind)] + axes_text<M>(detail::axes_of_mask(s.partial)) + ")");
  if (s.reduced) add("Reduced(" + axes_text<M>(detail::axes_of_mask(s.reduced)) + ")");
  return text + ')';
}

}  // namespace tess
