// The reports, written with fmt.
// SPDX-License-Identifier: Apache-2.0
#include "reports.hpp"

#include <fmt/core.h>

#include <fstream>

namespace grok1 {

namespace {

/// A field of a /proc file, in bytes; 0 where there is none.
double proc_bytes(const char* file, const std::string& field) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);)
    if (line.rfind(field + ":", 0) == 0) return std::stod(line.substr(field.size() + 1)) * 1024;
  return 0;
}

double per_second(index_t tokens, double seconds) { return seconds > 0 ? static_cast<double>(tokens) / seconds : 0; }

std::string json_text(const std::string& s) {
  std::string out = "\"";
  for (const char c : s) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) out += fmt::format("\\u{:04x}", static_cast<int>(c));
    else out += c;
  }
  return out + '"';
}

}  // namespace

std::string size_text(double bytes) {
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  int u = 0;
  for (; bytes >= 1024 && u < 4; ++u) bytes /= 1024;
  return u == 0 ? fmt::format("{} B", static_cast<long long>(bytes)) : fmt::format("{:.2f} {}", bytes, units[u]);
}

double available_bytes() { return proc_bytes("/proc/meminfo", "MemAvailable"); }
double peak_resident_bytes() { return proc_bytes("/proc/self/status", "VmHWM"); }

void print_inspect(const ModelFiles& files, const MeshEntry& mesh) {
  const tess::io::PickleCheckpoint checkpoint(files.checkpoint, leaf_paths(files.config));
  const std::vector<Leaf> expected = leaves(files.config);
  const std::vector<LeafShard> shards = mesh.shards(files.config);
  fmt::print("{}: {} leaves, mesh data={} model={}\n", checkpoint.folder().string(), expected.size(), mesh.data,
             mesh.model);
  fmt::print("{:<16} {:<57} {:<5} {:<20} {:>6}  {:<28} {:<20} {:>12}\n", "file", "parameter", "dtype", "shape",
             "groups", "spec", "shard", "device");
  double device = 0, all = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const tess::io::Leaf leaf = checkpoint.read(expected[i].path);
    if (leaf.weight.shape != expected[i].shape)
      tess::fail(checkpoint.file_of(expected[i].path).string(), ": ", expected[i].path, " should have the shape ",
                 tess::io::to_string(std::span<const index_t>(expected[i].shape)), ", found ",
                 tess::io::describe(leaf.weight),
                 "\nIs this the checkpoint of another configuration, or are two files swapped?");
    all += static_cast<double>(leaf.weight.data.size() + (leaf.scales ? leaf.scales->data.size() : 0));
    device += static_cast<double>(shards[i].bytes);
    fmt::print("{:<16} {:<57} {:<5} {:<20} {:>6}  {:<28} {:<20} {:>12}\n",
               checkpoint.file_of(expected[i].path).filename().string(), expected[i].path,
               tess::io::name_of(leaf.weight.dtype), tess::io::to_string(std::span<const index_t>(leaf.weight.shape)),
               leaf.scales ? std::to_string(leaf.groups()) : std::string("-"), shards[i].spec,
               tess::io::to_string(std::span<const index_t>(shards[i].shape)),
               size_text(static_cast<double>(shards[i].bytes)));
  }
  fmt::print("{} in the files; {} on each device\n", size_text(all), size_text(device));
}

std::string stats_text(const RunFacts& f) {
  return fmt::format(
      "{}: load {:.2f} s | prompt {} tokens, {:.1f} tokens/s | generated {} tokens, {:.1f} tokens/s | mesh {} | host, "
      "{} thread{} | {} resident at most",
      f.model, f.load_seconds, f.timing.prompt_tokens, per_second(f.timing.prompt_tokens, f.timing.prompt_seconds),
      f.timing.generated_tokens, per_second(f.timing.generated_tokens, f.timing.generation_seconds), f.mesh, f.threads,
      f.threads == 1 ? "" : "s", size_text(peak_resident_bytes()));
}

std::string stats_json(const RunFacts& f) {
  return fmt::format(
      R"({{"model": {}, "mesh": "{}", "device": "host", "threads": {}, "load_seconds": {:.6f}, "prompt_tokens": {}, )"
      R"("prompt_seconds": {:.6f}, "generated_tokens": {}, "generation_seconds": {:.6f}, "received_bytes": {}, )"
      R"("peak_resident_bytes": {:.0f}}})",
      json_text(f.model), f.mesh, f.threads, f.load_seconds, f.timing.prompt_tokens, f.timing.prompt_seconds,
      f.timing.generated_tokens, f.timing.generation_seconds, f.received_bytes, peak_resident_bytes());
}

}  // namespace grok1
