// Everything the program can do on one mesh, for models whose sizes are known only at run time.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "conversions.hpp"
#include "load.hpp"
#include "mesh_bill.hpp"

namespace grok1 {

namespace detail {

/// `load(dev, model)` gives the parameters their values.
template <class C, class M, class Load>
std::unique_ptr<Engine> engine_of(const EngineOptions& o, Load load) {
  check_mesh<M>(o.config);
  using LM = LanguageModel<C, M, Host>;
  return std::make_unique<generate::EngineOf<LM>>(LM(o.config), o.threads, o.slots,
                                                  o.capacity ? o.capacity : o.config.sequence_len, load);
}

template <class M>
std::unique_ptr<Engine> make_engine(const EngineOptions& o) {
  const auto official = [&o](Host& dev, auto& model) {
    if (o.checkpoint.empty()) load_dummy_weights(dev, model, 0, o.progress);
    else load_checkpoint(dev, model, o.checkpoint, o.progress);
  };
  const bool moe = o.config.model.is_moe();
  if (o.config.quantized)
    return moe ? engine_of<RunTimeSizes<true, true>, M>(o, official)
               : engine_of<RunTimeSizes<false, true>, M>(o, official);
  if (!moe) return engine_of<RunTimeSizes<false, false>, M>(o, official);
  if (!is_converted(o.checkpoint))
    fail("a mixture of experts with f32 weights is not among the kinds of checkpoints that this program was built for");
  return engine_of<RunTimeSizes<true, false>, M>(
      o, [&o](Host& dev, auto& model) { load_conversion(dev, model, o.checkpoint, o.progress); });
}

}  // namespace detail

template <index_t Data, index_t Model>
MeshEntry runnable_mesh() {
  MeshEntry e = planned_mesh<Data, Model>();
  e.make_engine = detail::make_engine<ProgramMesh<Data, Model>>;
  return e;
}

}  // namespace grok1
