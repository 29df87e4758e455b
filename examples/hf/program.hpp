// Program: what the programs of the custom models share: a command line, a driver, a table of meshes for each.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <tess/comm/cost.hpp>
#include <tess/device/cuda/options.hpp>
#include <tess/generate/engine.hpp>
#include <tess/mesh/mesh.hpp>

namespace hf {

using tess::index_t;

/// The element type of the matrices in memory.
enum class Weights { f32, bf16 };

/// What to load, and for how much.
struct LoadOptions {
  std::filesystem::path config;      // config.json
  std::filesystem::path checkpoint;  // the folder beside it; empty: random weights
  std::filesystem::path save;        // written once loaded; empty: nowhere
  Weights weights = Weights::f32;
  int threads = 0;             // on Host
  tess::cuda::Options cuda{};  // on GPUs; none named: those of this machine
  index_t slots = 1, capacity = 1;
  std::uint64_t seed = 0;  // of random weights
  std::function<void(index_t done, index_t all)> progress{};
};

/// What to plan for.
struct PlanOptions {
  std::filesystem::path config;
  Weights weights = Weights::f32;
  index_t batch = 1, prompt = 512, context = 4096;  // sequences; tokens of each in prefill; tokens that the caches hold
};

/// A model on a mesh, for one device: from the model's own code, run on a device that stores nothing.
struct Plan {
  index_t rows = 1;                             // the batch, filled up until it divides over the mesh
  index_t parameters = 0, parameter_bytes = 0;  // numbers in all; bytes of one device
  tess::Cost prefill{}, decode{};               // of all rows; a decode step computes the last token of the context
  std::string (*axes)(unsigned positions) = nullptr;  // their names
};

using LoadEngine = std::unique_ptr<tess::generate::Engine> (*)(const LoadOptions&);

/// What one mesh can do; a translation unit each (mesh_program.hpp).
struct MeshProgram {
  index_t data = 1, expert = 1, model = 1;
  LoadEngine load = nullptr;
  Plan (*plan)(const PlanOptions&) = nullptr;
  LoadEngine load_on_cuda = nullptr;  // nullptr: not built for GPUs

  std::string name() const { return std::to_string(data) + "x" + std::to_string(expert) + "x" + std::to_string(model); }
};

/// A model's program: its name on the command line, a line for --help, the meshes it was built for.
struct Program {
  std::string name, about;
  std::vector<MeshProgram> meshes;
};

/// The entry of a mesh: mesh_program.hpp defines it, and CMake makes a translation unit of each.
template <class Model, index_t Data, index_t Expert, index_t Tensor>
MeshProgram mesh_program();

/// The same on GPUs: cuda_program.hpp defines it, for CUDA sources that CMake makes.
template <class Model, index_t Data, index_t Expert, index_t Tensor>
std::unique_ptr<tess::generate::Engine> load_on_cuda(const LoadOptions&);

/// The meshes that every program is built for (tess_model_program in examples/CMakeLists.txt has the same list).
template <class Model>
Program program_of(std::string name, std::string about) {
  Program p{std::move(name), std::move(about), {mesh_program<Model, 1, 1, 1>(), mesh_program<Model, 1, 2, 2>()}};
#if TESS_CUDA_MODEL  // of the target, as the meshes that it has on GPUs
  p.meshes[0].load_on_cuda = load_on_cuda<Model, 1, 1, 1>;
#endif
#if TESS_ALL_CUDA_MESHES
  p.meshes[1].load_on_cuda = load_on_cuda<Model, 1, 2, 2>;
#endif
  return p;
}

/// Everything main() does. 0: success; 2: wrong arguments or input, 3: no GPU for --device cuda; said in one message on
/// standard error.
int run(const Program& program, int argc, const char* const* argv);

}  // namespace hf
