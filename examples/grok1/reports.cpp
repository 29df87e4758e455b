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

std::string flops_text(double f) {
  const char* const units[] = {"FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP"};
  int u = 0;
  for (; f >= 1000 && u < 5; ++u) f /= 1000;
  return fmt::format("{:.3g} {}", f, units[u]);
}

void print_pass(const char* what, const tess::Cost& c) {
  fmt::print("  {:<28}{:>6} collectives  {:>11} received  {:>11}  {:>11} activations\n", what, c.collectives,
             size_text(static_cast<double>(c.bytes)), flops_text(static_cast<double>(c.flops)),
             size_text(static_cast<double>(c.peak_bytes)));
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

void print_plan(const LanguageModelConfig& config, const std::string& name, const MeshEntry& mesh) {
  const auto& m = config.model;
  const index_t prompt = std::min<index_t>(1024, config.sequence_len);
  const Bill b = mesh.bill(config, prompt, 1, config.sequence_len);
  double parameters = 0;
  for (const Leaf& leaf : leaves(config)) {
    double n = 1;
    for (const index_t e : leaf.shape) n *= static_cast<double>(e);
    parameters += n;
  }
  fmt::print("{} on mesh data={} model={}: one device of {}\n", name, mesh.data, mesh.model, mesh.data * mesh.model);
  fmt::print("  {} layers, emb {}, {}/{} heads of {}, {}ffn {}, vocabulary {}: {:.1f} billion parameters\n",
             m.num_layers, m.emb_size, m.num_q_heads, m.num_kv_heads, m.key_size,
             m.is_moe() ? fmt::format("{} experts top-{}, ", m.num_experts, m.num_selected_experts) : std::string(),
             m.ffn_size(), config.vocab_size, parameters / 1e9);
  fmt::print("  {:<28}{:>12}   int8 with bf16 scales; embedding bf16; norms and routers f32\n", "parameters",
             size_text(static_cast<double>(b.parameter_bytes)));
  fmt::print("  {:<28}{:>12}   bf16, {} sequence{} of {} tokens over the mesh\n", "key/value cache",
             size_text(static_cast<double>(b.cache_bytes)), b.batch, b.batch == 1 ? "" : "s", config.sequence_len);
  print_pass(fmt::format("prefill of {} tokens", b.prompt).c_str(), b.prefill);
  print_pass(fmt::format("a token at position {}", b.context - 1).c_str(), b.decode);
  fmt::print(
      "  Weights stay where they lie; what moves are activations, in f32. From the model's own code on the device "
      "Dry.\n");
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
