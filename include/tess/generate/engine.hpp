// Engine: a model behind one interface, for a mesh that a program chooses at run time among those it compiled.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "runner.hpp"

namespace tess::generate {

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

/// The model, the device it lives on, and the runner that continues requests with it.
template <class LM, class D = Host>
requires LanguageModel<LM, D>
class EngineOf final : public Engine {
 public:
  /// `device`: what D is made from: on Host the threads, 0 for one a core; cuda::Options. `load(dev, model)` gives the
  /// parameters their values. Slots and capacity as in Runner.
  template <class Options, class Load>
  EngineOf(LM model, const Options& device, index_t slots, index_t capacity, Load load)
      : dev_(device), model_(std::move(model)), runner_((load(dev_, model_), dev_), model_, slots, capacity) {}

  void check(std::span<const Request> requests) const override { runner_.check(requests); }
  std::vector<Generated> generate(std::span<const Request> requests, const OnToken& on_token) override {
    return runner_.generate(requests, on_token);
  }
  const Timing& timing() const override { return runner_.timing(); }
  int threads() const override { return dev_.pool().size(); }
  index_t received_bytes() const override { return dev_.traffic().most_bytes(); }
  LM& model() { return model_; }

 private:
  D dev_;
  LM model_;
  Runner<LM, D> runner_;
};

}  // namespace tess::generate
