// What the program asks of a mesh, and the table of those it was built for.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <tess/device/cuda/options.hpp>
#include <tess/device/timeline.hpp>
#include <tess/generate/engine.hpp>
#include <tess/sharding/spec_value.hpp>

#include "config.hpp"

namespace grok1 {

namespace generate = tess::generate;
using generate::Engine;
using tess::i32;

/// What to load, and for how much.
struct EngineOptions {
  LanguageModelConfig config;
  std::filesystem::path checkpoint;  // empty: dummy weights
  int threads = 0;                   // on Host
  tess::cuda::Options cuda{};        // on GPUs; none named: those of this machine
  index_t slots = 1;
  index_t capacity = 0;  // tokens of each slot; 0: config.sequence_len
  std::function<void(index_t done, index_t all)> progress;
};

/// What a plan is made for.
struct Load {
  index_t batch = 1;       // sequences at once
  index_t prompt = 1024;   // tokens of each, in prefill
  index_t context = 8192;  // tokens that the caches hold; a decode step computes the last of them
};

/// One pass of the model for one device of a mesh, its products done in one way.
struct PassBill {
  std::string strategy{};
  tess::Cost cost{};
  tess::Timeline timeline{};  // parameters numbered as in leaves()
};

struct Bill {
  index_t rows = 1;                           // the batch, filled up to a multiple of the data axis
  std::vector<PassBill> prefill{}, decode{};  // one for each strategy
};

/// One leaf as a mesh holds it.
struct LeafShard {
  std::string spec;
  tess::SpecValue sharding;
  std::vector<index_t> shape;  // of a shard
  index_t bytes = 0;           // of a shard, scales included
};

/// What one mesh can do; the program has a table of these, one translation unit each (mesh_*.cpp).
struct MeshEntry {
  std::string name;
  index_t data = 1, model = 1;
  tess::MeshValue mesh{};
  std::string (*axes)(unsigned positions) = nullptr;                            // their names, "data, model"
  std::unique_ptr<Engine> (*make_engine)(const EngineOptions&) = nullptr;       // nullptr: planned only
  std::unique_ptr<Engine> (*make_cuda_engine)(const EngineOptions&) = nullptr;  // nullptr: not built for GPUs
  Bill (*bill)(const LanguageModelConfig&, const Load&) = nullptr;
  std::vector<LeafShard> (*shards)(const LanguageModelConfig&) = nullptr;
};

const std::vector<MeshEntry>& mesh_table();

/// The names of the meshes that the program was built for, on GPUs or on Host: "1x1 1x2 1x8 2x8".
std::string built_meshes(bool on_cuda);

/// The entry of a mesh name like "2x4". Throws Error that lists the known ones.
const MeshEntry& find_mesh(const std::string& name);

}  // namespace grok1
