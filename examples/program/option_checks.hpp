// Checks of options for CLI11: what may be given, and what the error says.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <CLI/CLI.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace program {

/// One of a few words.
inline CLI::Validator one_of(const std::vector<std::string>& allowed) {
  std::string list;
  for (const auto& a : allowed) list += (list.empty() ? "" : " ") + a;
  const auto check = [=](std::string& given) {
    for (const auto& a : allowed)
      if (a == given) return std::string();
    return "\"" + given + "\" is unknown; choose one of: " + list;
  };
  return CLI::Validator(check, "");
}

/// A finite number from `least` to `most`.
inline CLI::Validator between(double least, double most) {
  const auto text = [](double x) {
    std::string s = std::to_string(x);
    s.erase(s.find_last_not_of('0') + 1);
    if (s.back() == '.') s.pop_back();
    return s;
  };
  const auto check = [=](std::string& given) {
    double x = 0;
    if (CLI::detail::lexical_cast(given, x) && x >= least && x <= most) return std::string();
    return "\"" + given + "\" is not a number from " + text(least) + " to " + text(most);
  };
  return CLI::Validator(check, "");
}

/// A whole number from `least` to `most`.
inline CLI::Validator whole(double least, double most) {
  auto range = between(least, most);
  const auto check = [=](std::string& given) {
    std::int64_t x = 0;
    if (!CLI::detail::lexical_cast(given, x)) return "\"" + given + "\" is not a whole number";
    return range(given);
  };
  return CLI::Validator(check, "");
}

}  // namespace program
