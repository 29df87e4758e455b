// Grok-1's medium configuration on one device, with dummy weights, as the benchmarks run it.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <tess/device/dry.hpp>

#include <string>

#include "grok1/load.hpp"
#include "measure.hpp"

namespace grok1::bench {

using namespace tess::bench;

using OneDevice = Mesh<Axis<data, 1>, Axis<model, 1>>;

struct MediumBf16Config {
  using weight_type = bf16;
  static constexpr LanguageModelConfig value = [] {
    LanguageModelConfig c = medium;
    c.quantized = false;
    return c;
  }();
};

/// The model, a cache for one sequence, and the tokens to feed it. Any Host may run it, whatever its number of threads.
template <class C>
class Medium {
  template <class D>
  using Model = LanguageModel<C, OneDevice, D>;
  template <class D>
  using Tokens = typename Types<C, OneDevice, D>::Tokens;

 public:
  explicit Medium(Host& dev) {
    load_dummy_weights(dev, model_);
    memory_ = model_.init_memory(dev, 1, C::value.sequence_len);
  }

  /// Seconds that `count` tokens from position `start` on take, logits of the last one included.
  double run(Host& dev, index_t start, index_t count) {
    const auto tokens = make<Tokens<Host>>(dev, Extents<Shape<dyn, dyn>>{1, count});
    for (index_t i = 0; i < count; ++i)
      tokens.storage().data(0)[i] = static_cast<i32>((start + i) * 7919 % C::value.vocab_size);
    const Segment rows[] = {{.slot = 0, .start = start, .count = count}};
    return seconds([&] { (void)model_(dev, tokens, memory_, rows); });
  }

  /// Bytes of packed weights that one token reads: the routed experts only, one row of the embedding for nothing, all of it as the head.
  index_t bytes_per_token() {
    index_t bytes = 0;
    model_.parameters([&](const nn::Scope&, auto& parameter) { bytes += bytes_read(parameter.storage()); });
    return bytes;
  }

  /// Floating-point operations of `count` tokens: the bill of the same model on Dry.
  static index_t flops(index_t count) {
    Dry dev;
    Model<Dry> model;
    auto memory = model.init_memory(dev, 1, C::value.sequence_len);
    const Segment rows[] = {{.slot = 0, .start = 0, .count = count}};
    (void)model(dev, make<Tokens<Dry>>(dev, Extents<Shape<dyn, dyn>>{1, count}), memory, rows);
    return dev.cost.flops;
  }

 private:
  template <class E>
  static index_t bytes_read(const host::Storage<packed<E>>& storage) {
    const auto& matrices = storage.matrices(0);  // one, or one for each expert
    const auto count = static_cast<index_t>(matrices.size());
    return matrices[0].bytes() * (count > 1 ? C::value.model.num_selected_experts : 1);
  }
  static index_t bytes_read(const host::Storage<table<bf16>>& storage) { return storage.table_of(0).columns.bytes(); }
  static index_t bytes_read(const host::Storage<f32>&) { return 0; }  // the scale of a norm: 8 KiB

  Model<Host> model_;
  Memory<C, OneDevice, Host> memory_;
};

}  // namespace grok1::bench
