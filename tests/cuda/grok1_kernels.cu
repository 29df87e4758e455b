// All kernels of a Grok-1 that runs on GPUs: kernel_budget.txt says how many registers each may use; none may spill.
// SPDX-License-Identifier: Apache-2.0
#include <tess/cuda.hpp>

#include "grok1/model.hpp"

namespace {

using namespace tess;

/// The released checkpoint's int8, and bf16 as conversions have it; the residual stream whole on every rank.
struct Int8Config {
  static constexpr grok1::LanguageModelConfig value = [] {
    auto c = grok1::grok_1;
    c.model.shard_activations = false;
    return c;
  }();
};
struct Bf16Config {
  using weight_type = bf16;
  static constexpr grok1::LanguageModelConfig value = [] {
    auto c = Int8Config::value;
    c.quantized = false;
    return c;
  }();
};

template <class C>
auto step(Cuda& dev, const grok1::LanguageModel<C, Mesh<Axis<grok1::data, 1>, Axis<grok1::model, 8>>, Cuda>& model) {
  using M = Mesh<Axis<grok1::data, 1>, Axis<grok1::model, 8>>;
  const Segment rows[] = {{0, 0, 1}};
  auto memory = model.init_memory(dev, 1, 8192);
  const auto tokens = make<typename grok1::Types<C, M, Cuda>::Tokens>(dev, Extents<Shape<dyn, dyn>>{1, 1});
  return model(dev, tokens, memory, rows);
}

}  // namespace

void all_kernels() {
  Cuda dev;
  (void)step<Int8Config>(dev, {});
  (void)step<Bf16Config>(dev, {});
}
