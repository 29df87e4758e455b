// libFuzzer: any bytes as a checkpoint are refused with an Error and leave the model alone, or fill it with numbers.
// SPDX-License-Identifier: Apache-2.0
#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>

#include "tess/io/fill.hpp"
#include "tess/io/load_model.hpp"
#include "tess/nn/parameters.hpp"

namespace {

using namespace tess;
struct model;
using M = Mesh<Axis<model, 2>>;

struct Tiny {
  ShardedTensor<packed<bf16>, Shape<4, 6>, M, P<None, model>, Host> w{};
  ShardedTensor<packed<f32>, Shape<dyn, 2, 4>, M, P<None, model, None>, Host> experts{};
  ShardedTensor<f32, Shape<4>, M, P<model>, Host> scale{}, shift{};
  template <class F>
  void parameters(F&& f) {
    f(nn::Scope("w"), w), f(nn::Scope("experts"), experts), f(nn::Scope("scale"), scale), f(nn::Scope("shift"), shift);
  }
};
const io::Names names = {{"w", "w", {6, 4}, io::out_in},
                         {"experts", "e.{}", {4, 2}, io::out_in},
                         {"scale", "s", {8}, io::columns(0, 2)},
                         {"shift", "s", {8}, io::columns(1, 2)},
                         {io::unused, "unused.*"}};

/// The bytes as a file that no folder names.
struct MemoryFile {
  int fd = ::memfd_create("fuzz", 0);
  MemoryFile(const std::uint8_t* data, std::size_t size) {
    if (fd < 0 || ::write(fd, data, size) != static_cast<ssize_t>(size)) std::abort();
  }
  ~MemoryFile() { ::close(fd); }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Host dev(1);
  const MemoryFile file(data, size);
  Tiny m;
  try {
    const io::SafetensorsCheckpoint checkpoint("/proc/self/fd/" + std::to_string(file.fd));
    io::load_model(dev, m, checkpoint, names);
  } catch (const Error&) {
    if (!m.w.storage().empty() || !m.scale.storage().empty()) std::abort();
    return 0;
  }
  for (const f32 x : io::to_vector(m.w))
    if (!std::isfinite(x)) std::abort();
  for (const f32 x : io::to_vector(m.experts))
    if (!std::isfinite(x)) std::abort();
  for (const f32 x : io::to_vector(m.shift))
    if (!std::isfinite(x)) std::abort();
  return 0;
}
