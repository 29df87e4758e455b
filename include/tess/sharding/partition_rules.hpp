// PartitionRules: a table from parameter paths to specs, read by the compiler; the first rule that matches wins.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <string_view>
#include <type_traits>

#include "../core/facts.hpp"
#include "../core/meta.hpp"
#include "partition_spec.hpp"
#include "regex.hpp"

namespace tess {

template <class Rule>
struct partition_rule_is_not_understood {
  static_assert(detail::always_false<Rule>,
                "[rules] a regular expression of this rule is malformed or beyond what is read here: write it with "
                "characters, sets, \\d \\w \\s, ^ $ | ( ), lookahead, * + ? and (?i)");
  static constexpr bool ok = true;
};

namespace detail {
/// f(element) for all elements of a list?
template <class F>
constexpr bool all_of_list(std::string_view list, char separator, F f) {
  for (;;) {
    const std::size_t end = list.find(separator);
    if (!f(list.substr(0, end))) return false;
    if (end == list.npos) return true;
    list.remove_prefix(end + 1);
  }
}
}  // namespace detail

/// A rule is any type with `window`, regular expressions joined by one space, and `spec`:
///   struct attention_in { static constexpr std::string_view window = "multi_head_attention (query|key|value) w";
///                         using spec = P<data, model>; };
/// It matches a path when consecutive elements anywhere in it match the window, each as Python's re.match(regex + "$").
/// (So "query|key" anchors only `key` at its end, as in the reference.) Source: xai-org/grok-1 model.py, _match and
/// apply_rules.
template <class... Rule>
struct PartitionRules {
  static_assert((detail::holds_or<detail::all_of_list(Rule::window, ' ', detail::Regex::understands),
                                  partition_rule_is_not_understood<Rule>>::ok &&
                 ...));
  static constexpr int size = sizeof...(Rule);
  static constexpr std::array<std::string_view, sizeof...(Rule)> windows{Rule::window...};

  /// Position of the rule that decides a path like "transformer/decoder_layer_0/router/w"; -1: none does.
  static constexpr int index(std::string_view path) {
    for (int i = 0; i < size; ++i)
      if (window_matches(windows[static_cast<std::size_t>(i)], path)) return i;
    return -1;
  }
  template <int I>
  using spec = typename detail::nth_t<I, Rule...>::spec;

  /// Does the window match some run of consecutive elements of the path?
  static constexpr bool window_matches(std::string_view window, std::string_view path) {
    for (;;) {
      if (matches_here(window, path)) return true;
      const std::size_t slash = path.find('/');
      if (slash == path.npos) return false;
      path.remove_prefix(slash + 1);
    }
  }

 private:
  static constexpr std::string_view head(std::string_view list, char separator) {
    return list.substr(0, list.find(separator));
  }

  static constexpr bool matches_here(std::string_view window, std::string_view path) {
    for (;;) {
      const std::string_view regex = head(window, ' '), element = head(path, '/');
      if (!element_matches(regex, element)) return false;
      if (regex.size() == window.size()) return true;
      if (element.size() == path.size()) return false;
      window.remove_prefix(regex.size() + 1);
      path.remove_prefix(element.size() + 1);
    }
  }

  /// Most pattern elements begin with plain letters, and most path elements with others: no need to read further.
  /// (Compilers count their steps; clang gives up after a million.)
  static constexpr bool begins_otherwise(std::string_view regex, std::string_view element) {
    const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
    for (const char c : regex)
      if (c == '|') return false;
    for (std::size_t i = 0; i < regex.size() && plain(regex[i]); ++i) {
      const char next = i + 1 < regex.size() ? regex[i + 1] : '$';
      if (next == '*' || next == '+' || next == '?') return false;
      if (i == element.size() || element[i] != regex[i]) return true;
    }
    return false;
  }

  static constexpr bool element_matches(std::string_view regex, std::string_view element) {
    if (begins_otherwise(regex, element)) return false;
    constexpr std::size_t longest = 127;
    char anchored[longest + 1] = {};
    if (regex.size() >= longest) return false;
    for (std::size_t i = 0; i < regex.size(); ++i) anchored[i] = regex[i];
    anchored[regex.size()] = '$';
    return detail::Regex::match(std::string_view(anchored, regex.size() + 1), element);
  }
};

/// Several tables, one after the other.
template <class A, class B>
struct joined_rules;
template <class... A, class... B>
struct joined_rules<PartitionRules<A...>, PartitionRules<B...>> {
  using type = PartitionRules<A..., B...>;
};
template <class A, class B>
using joined_rules_t = typename joined_rules<A, B>::type;

template <class Path, class Rules>
struct no_partition_rule_matches {
  static_assert(detail::always_false<Path>,
                "[rules] no partition rule matches the path of this parameter: add a rule or mend the path "
                "(the reference would only log it and replicate the parameter)");
  static constexpr bool ok = true;
};

namespace detail {
/// Haiku's layer_stack adds a leading dimension: apply_rules puts a None in front.
constexpr bool has_layer_stack(std::string_view path) {
  return !all_of_list(path, '/', [](std::string_view element) { return element != "layer_stack"; });
}
template <class Spec>
struct prepend_none;
template <class... E>
struct prepend_none<P<E...>> {
  using type = P<None, E...>;
};

template <class Rules, class Path>
constexpr auto rule_spec() {
  constexpr int i = Rules::index(Path::text);
  static_assert(holds_or<(i >= 0), no_partition_rule_matches<Path, Rules>>::ok);
  if constexpr (i < 0) return std::type_identity<P<>>{};
  else if constexpr (has_layer_stack(Path::text)) return prepend_none<typename Rules::template spec<i>>{};
  else return std::type_identity<typename Rules::template spec<i>>{};
}
}  // namespace detail

/// The spec that the table gives to a parameter; `Path` is a type with a string `text`. A path without a rule does not
/// compile.
template <class Rules, class Path>
using spec_for = typename decltype(detail::rule_spec<Rules, Path>())::type;

}  // namespace tess
