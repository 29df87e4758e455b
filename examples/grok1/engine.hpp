// Engine: the model behind one interface, for a mesh that is chosen at run time among those compiled.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <tess/comm/cost.hpp>

#include "config.hpp"
#include "request.hpp"

namespace grok1 {

/// What to load, and for how much.
struct EngineOptions {
  LanguageModelConfig config;
  std::filesystem::path checkpoint;  // empty: dummy weights
  int threads = 0;
  index_t slots = 1;
  index_t capacity = 0;  // tokens of each slot; 0: config.sequence_len
  std::function<void(index_t done, index_t all)> progress;
};

class Engine {
 public:
  virtual ~Engine() = default;
  /// Throws Error, before anything is computed, when a prompt is empty or leaves no room in the context.
  virtual void check(std::span<const Request> requests) const = 0;
  virtual std::vector<Generated> generate(std::span<const Request> requests, const OnToken& on_token) = 0;
  virtual const Timing& timing() const = 0;
  virtual int threads() const = 0;
  virtual index_t received_bytes() const = 0;  // by the busiest device of the simulated mesh, so far
};

/// The bill of one pass of the model on one mesh, for a configuration: prefill or decode.
struct Bill {
  tess::Cost prefill, decode;
  index_t prompt = 0, batch = 1, context = 0;
  index_t parameter_bytes = 0, cache_bytes = 0;  // of one device
};

/// One leaf as a mesh holds it.
struct LeafShard {
  std::string spec;
  std::vector<index_t> shape;  // of a shard
  index_t bytes = 0;           // of a shard, scales included
};

/// What one mesh can do; the program has a table of these, one translation unit each (mesh_*.cpp).
struct MeshEntry {
  std::string name;
  index_t data = 1, model = 1;
  std::unique_ptr<Engine> (*make_engine)(const EngineOptions&) = nullptr;  // nullptr: planned only
  Bill (*bill)(const LanguageModelConfig&, index_t prompt, index_t batch_per_part, index_t context) = nullptr;
  std::vector<LeafShard> (*shards)(const LanguageModelConfig&) = nullptr;
};

const std::vector<MeshEntry>& mesh_table();

/// The entry of a mesh name like "2x4". Throws Error that lists the known ones.
const MeshEntry& find_mesh(const std::string& name);

}  // namespace grok1
