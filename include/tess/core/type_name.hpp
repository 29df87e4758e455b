// type_name: the name of a tag as it was written, for messages and pictures.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string_view>

namespace tess {

/// `type_name<grok1::model>()` is "model": without its namespaces.
template <class T>
constexpr std::string_view type_name() {
  std::string_view text = __PRETTY_FUNCTION__;  // "... [with T = grok1::model; ...]" or "... [T = grok1::model]"
  text.remove_prefix(text.find("T = ") + 4);
  text = text.substr(0, text.find_first_of(";]"));
  const std::size_t colon = text.rfind("::");
  return colon == text.npos ? text : text.substr(colon + 2);
}

}  // namespace tess
