// Plan: what a model costs on a mesh of a machine, in memory, bytes and time, and which mesh is the best.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

#include <tess/device/schedule.hpp>

#include "engine.hpp"
#include "leaves.hpp"

namespace grok1 {

enum class Phase { prefill, decode };

/// One pass on one mesh, by the strategy that is the fastest there.
struct PhasePlan {
  PassBill pass;
  tess::Prediction time;
  tess::Schedule schedule;
  index_t bytes_between_hosts = 0;  // received by one device
  index_t tokens = 1;               // that the pass is for: rows that only fill up the batch do not count
  index_t memory = 0;               // of one device: parameters, caches, activations at their peak
  bool fits = true;

  double tokens_per_second() const { return static_cast<double>(tokens) / time.total(); }
};

struct MeshPlan {
  const MeshEntry* mesh = nullptr;
  tess::Machine machine{};
  Load load{};
  std::string impossible{};  // why the model cannot be cut so; then nothing below is set
  index_t rows = 1;
  std::vector<LeafShard> shards{};  // as leaves()
  index_t parameter_bytes = 0;      // of one device
  PhasePlan prefill{}, decode{};

  const PhasePlan& operator[](Phase p) const { return p == Phase::prefill ? prefill : decode; }
  bool can(Phase p) const { return impossible.empty() && (*this)[p].fits; }
};

/// "h100x8", "h100x16", "h200x8", "h200x16", "cpu" or "cpu:GB/s:GFLOP/s"; by default H100s, as many as the mesh has devices. Throws Error
/// where the mesh has more devices than the machine.
tess::Machine find_machine(const std::string& name, index_t devices);

/// Throws Error only for what no mesh could do.
MeshPlan plan_mesh(const LanguageModelConfig& config, const MeshEntry& mesh, const tess::Machine& machine,
                   const Load& load);

/// All meshes of so many devices.
std::vector<MeshPlan> plan_all(const LanguageModelConfig& config, index_t devices, const std::string& machine,
                               const Load& load);

/// The fastest of those that fit in memory; nullptr: none does.
const MeshPlan* best_of(const std::vector<MeshPlan>& plans, Phase phase);

/// Why it is the best, and what the others lack, in a few sentences.
std::string explain(const std::vector<MeshPlan>& plans, Phase phase);

/// A parameter of the model, and how many layers have one like it.
struct ParameterGroup {
  std::string name;      // its path without the number of the layer
  std::size_t leaf = 0;  // the first of them, in leaves()
  index_t layers = 1;
};
std::vector<ParameterGroup> parameter_groups(const std::vector<Leaf>& all);

/// "matmul · attention/query", "all-gather over data".
std::string event_text(const tess::Event& event, const std::vector<Leaf>& all, const MeshEntry& mesh);
/// "8 H100 SXM, NVLink"
std::string machine_text(const MeshPlan& plan);
/// "prefill of 32 × 1024 tokens", "a token at position 8191"
std::string phase_text(const Load& load, Phase phase);
std::string collective_text(tess::Collective kind);

/// "1.23 ms", "45.6 µs"
std::string time_text(double seconds);
/// "12.3 GFLOP"
std::string flops_text(double flops);

/// The plan as a table for a terminal, with or without colours.
std::string plan_text(const LanguageModelConfig& config, const std::string& name, const MeshPlan& plan, bool colours);
/// All meshes of a size side by side, and the best of each phase explained.
std::string comparison_text(const std::vector<MeshPlan>& plans, const std::vector<Phase>& phases, bool colours);
/// One HTML page without any other file: the mesh, memory, timelines, every parameter's shards, the ledger.
std::string plan_page(const LanguageModelConfig& config, const std::string& name, const MeshPlan& plan,
                      const std::vector<MeshPlan>& compared);

}  // namespace grok1
