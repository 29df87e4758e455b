// The closing line of statistics, and the memory of this machine.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <fmt/core.h>

#include <fstream>
#include <string>

#include <tess/generate/request.hpp>

namespace program {

namespace detail {

/// A field of a /proc file, in bytes; 0 where there is none.
inline double proc_bytes(const char* file, const std::string& field) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);)
    if (line.rfind(field + ":", 0) == 0) return std::stod(line.substr(field.size() + 1)) * 1024;
  return 0;
}

inline double per_second(tess::index_t tokens, double seconds) {
  return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
}

inline std::string json_text(const std::string& s) {
  std::string out = "\"";
  for (const char c : s) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) out += fmt::format("\\u{:04x}", static_cast<int>(c));
    else out += c;
  }
  return out + '"';
}

}  // namespace detail

/// 1234567890 -> "1.15 GiB".
inline std::string size_text(double bytes) {
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  int u = 0;
  for (; bytes >= 1024 && u < 4; ++u) bytes /= 1024;
  return u == 0 ? fmt::format("{} B", static_cast<long long>(bytes)) : fmt::format("{:.2f} {}", bytes, units[u]);
}

/// Bytes of memory that the system could still give, and the most that this process has held.
inline double available_bytes() { return detail::proc_bytes("/proc/meminfo", "MemAvailable"); }
inline double peak_resident_bytes() { return detail::proc_bytes("/proc/self/status", "VmHWM"); }

/// A run, for the line.
struct RunFacts {
  std::string model, mesh;
  std::string device = "host";
  double load_seconds = 0;
  int threads = 0;
  tess::generate::Timing timing;
  tess::index_t received_bytes = 0;
};

inline std::string stats_text(const RunFacts& f) {
  return fmt::format(
      "{}: load {:.2f} s | prompt {} tokens, {:.1f} tokens/s | generated {} tokens, {:.1f} tokens/s | mesh {} | {}, "
      "{} thread{} | {} resident at most",
      f.model, f.load_seconds, f.timing.prompt_tokens,
      detail::per_second(f.timing.prompt_tokens, f.timing.prompt_seconds), f.timing.generated_tokens,
      detail::per_second(f.timing.generated_tokens, f.timing.generation_seconds), f.mesh, f.device, f.threads,
      f.threads == 1 ? "" : "s", size_text(peak_resident_bytes()));
}

inline std::string stats_json(const RunFacts& f) {
  return fmt::format(
      R"({{"model": {}, "mesh": "{}", "device": "{}", "threads": {}, "load_seconds": {:.6f}, "prompt_tokens": {}, )"
      R"("prompt_seconds": {:.6f}, "generated_tokens": {}, "generation_seconds": {:.6f}, "received_bytes": {}, )"
      R"("peak_resident_bytes": {:.0f}}})",
      detail::json_text(f.model), f.mesh, f.device, f.threads, f.load_seconds, f.timing.prompt_tokens,
      f.timing.prompt_seconds, f.timing.generated_tokens, f.timing.generation_seconds, f.received_bytes,
      peak_resident_bytes());
}

}  // namespace program
