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

/// The model, the Host it lives on, and the runner that continues requests with it.
template <LanguageModel LM>
class EngineOf final : public Engine {
 public:
  /// `load(dev, model)` gives the parameters their values. Slots and capacity as in Runner; threads: 0, one a core.
  template <class Load>
  EngineOf(LM model, int threads, index_t slots, index_t capacity, Load load)
      : dev_(threads), model_(std::move(model)), runner_((load(dev_, model_), dev_), model_, slots, capacity) {}

  void check(std::span<const Request> requests) const override { runner_.check(requests); }
  std::vector<Generated> generate(std::span<const Request> requests, const OnToken& on_token) override {
    return runner_.generate(requests, on_token);
  }
  const Timing& timing() const override { return runner_.timing(); }
  int threads() const override { return dev_.pool().size(); }
  index_t received_bytes() const override { return dev_.traffic().most_bytes(); }
  LM& model() { return model_; }

 private:
  Host dev_;
  LM model_;
  Runner<LM> runner_;
};

}  // namespace tess::generate
