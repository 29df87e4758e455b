// MeshEngine: everything the program can do on one mesh, for models whose sizes are known only at run time.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "load.hpp"
#include "mesh_bill.hpp"
#include "runner.hpp"

namespace grok1 {

namespace detail {

template <class C, class M>
class MeshEngine final : public Engine {
 public:
  explicit MeshEngine(const EngineOptions& o) : dev_(o.threads), model_(o.config) {
    check_mesh<M>(o.config);
    if (o.checkpoint.empty()) load_dummy_weights(dev_, model_, 0, o.progress);
    else load_checkpoint(dev_, model_, o.checkpoint, o.progress);
    runner_ = std::make_unique<Runner<LanguageModel<C, M, Host>>>(dev_, model_, o.slots,
                                                                  o.capacity ? o.capacity : o.config.sequence_len);
  }
  void check(std::span<const Request> requests) const override { runner_->check(requests); }
  std::vector<Generated> generate(std::span<const Request> requests, const OnToken& on_token) override {
    return runner_->generate(requests, on_token);
  }
  const Timing& timing() const override { return runner_->timing(); }
  int threads() const override { return dev_.pool().size(); }
  index_t received_bytes() const override { return dev_.traffic().most_bytes(); }

 private:
  Host dev_;
  LanguageModel<C, M, Host> model_;
  std::unique_ptr<Runner<LanguageModel<C, M, Host>>> runner_;
};

template <class M>
std::unique_ptr<Engine> make_engine(const EngineOptions& o) {
  const bool moe = o.config.model.is_moe();
  if (o.config.quantized) {
    if (moe) return std::make_unique<MeshEngine<RunTimeSizes<true, true>, M>>(o);
    return std::make_unique<MeshEngine<RunTimeSizes<false, true>, M>>(o);
  }
  if (moe)
    fail("a mixture of experts with f32 weights is not among the kinds of checkpoints that this program was built for");
  return std::make_unique<MeshEngine<RunTimeSizes<false, false>, M>>(o);
}

}  // namespace detail

template <index_t Data, index_t Model>
MeshEntry runnable_mesh() {
  MeshEntry e = planned_mesh<Data, Model>();
  e.make_engine = detail::make_engine<ProgramMesh<Data, Model>>;
  return e;
}

}  // namespace grok1
