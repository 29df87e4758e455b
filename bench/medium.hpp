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

namespace detail {
template <class E>
index_t packed_bytes(const host::Storage<packed<E>>& storage, index_t selected) {
  const auto& matrices = storage.matrices(0);  // one, or one for each expert
  return matrices[0].bytes() * std::min(selected, static_cast<index_t>(matrices.size()));
}
inline index_t packed_bytes(const host::Storage<table<bf16>>& storage, index_t) {
  return storage.table_of(0).columns.bytes();
}
inline index_t packed_bytes(const host::Storage<f32>&, index_t) { return 0; }  // the scale of a norm: 8 KiB
}  // namespace detail

/// Bytes of packed weights in a model, or those that a token reads: of `experts` experts a layer, and the embedding once, as the head.
template <class C>
index_t bytes_of_weights(LanguageModel<C, OneDevice, Host>& model, index_t experts = C::value.model.num_experts) {
  index_t bytes = 0;
  model.parameters([&](const nn::Scope&, auto& p) { bytes += detail::packed_bytes(p.storage(), experts); });
  return bytes;
}

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

  index_t bytes_per_token() { return bytes_of_weights(model_, C::value.model.num_selected_experts); }

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
  Model<Host> model_;
  Memory<C, OneDevice, Host> memory_;
};

}  // namespace grok1::bench
