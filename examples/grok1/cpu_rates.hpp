// The rates of a CPU as the command line gives them: "cpu:36:940" is 36 GB/s and 940 GFLOP/s.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <charconv>
#include <optional>
#include <string_view>

#include <tess/comm/machine.hpp>

namespace grok1 {

/// Nothing where the text is no such thing, or a rate is not positive.
inline std::optional<tess::CpuRates> read_cpu_rates(std::string_view text) {
  if (!text.starts_with("cpu:")) return {};
  text.remove_prefix(4);
  double stream = 0, flops = 0;
  const auto number = [](const char* from, const char* to, double& value) {
    const auto [end, error] = std::from_chars(from, to, value);
    return error == std::errc() && value > 0 && value < 1e12 ? end : nullptr;
  };
  const char* const last = text.data() + text.size();
  const char* const colon = number(text.data(), last, stream);
  if (!colon || colon == last || *colon != ':' || number(colon + 1, last, flops) != last) return {};
  tess::CpuRates rates;
  rates.stream = stream * 1e9, rates.flops = flops * 1e9;
  return rates;
}

}  // namespace grok1
