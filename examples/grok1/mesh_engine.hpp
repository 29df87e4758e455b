// Everything the program can do on one mesh, for models whose sizes are known only at run time.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "conversions.hpp"
#include "load.hpp"
#include "mesh_bill.hpp"

namespace grok1 {

namespace detail {

/// `load(dev, model)` gives the parameters their values; `device`: what the device D is made from.
template <class C, class M, class D, class Device, class Load>
std::unique_ptr<Engine> engine_of(const EngineOptions& o, const Device& device, Load load) {
  check_mesh<M>(o.config);
  using LM = LanguageModel<C, M, D>;
  return std::make_unique<generate::EngineOf<LM, D>>(LM(o.config), device, o.slots,
                                                     o.capacity ? o.capacity : o.config.sequence_len, load);
}

template <class M, class D, class Device>
std::unique_ptr<Engine> make_engine(const EngineOptions& o, const Device& device) {
  const auto official = [&o](D& dev, auto& model) {
    if (o.checkpoint.empty()) load_dummy_weights(dev, model, 0, o.progress);
    else load_checkpoint(dev, model, o.checkpoint, o.progress);
  };
  if (!o.config.model.is_moe()) {
    if constexpr (std::is_same_v<D, Host>)
      return o.config.quantized ? engine_of<RunTimeSizes<false, true>, M, D>(o, device, official)
                                : engine_of<RunTimeSizes<false, false>, M, D>(o, device, official);
    else fail("models without experts are not among those that this program was built for on GPUs; take --device host");
  }
  if (o.config.quantized) return engine_of<RunTimeSizes<true, true>, M, D>(o, device, official);
  if (!is_converted(o.checkpoint))
    fail("a mixture of experts with f32 weights is not among the kinds of checkpoints that this program was built for");
  return engine_of<RunTimeSizes<true, false>, M, D>(
      o, device, [&o](D& dev, auto& model) { load_conversion(dev, model, o.checkpoint, o.progress); });
}

}  // namespace detail

template <index_t Data, index_t Model>
MeshEntry runnable_mesh() {
  MeshEntry e = planned_mesh<Data, Model>();
  e.make_engine = [](const EngineOptions& o) {
    return detail::make_engine<ProgramMesh<Data, Model>, Host>(o, o.threads);
  };
  return e;
}

}  // namespace grok1
