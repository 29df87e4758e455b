// MeshBill: what one mesh costs: the shards of every parameter, and the bill of a pass; from the model's own code.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <map>

#include <tess/device/dry.hpp>
#include <tess/sharding/spec_text.hpp>

#include "engine.hpp"
#include "leaves.hpp"
#include "model.hpp"

namespace grok1 {

/// A configuration whose sizes are all dyn: the checkpoint and its config.json decide. Only the kind of the blocks is
/// in the type, and of the weights: int8, or bf16 as in conversions of mixtures, or f32 in dense models.
template <bool Moe, bool Quantized>
struct RunTimeSizes {
  using weight_type = std::conditional_t<Moe, bf16, f32>;
  static constexpr LanguageModelConfig value = [] {
    LanguageModelConfig c;
    c.model.num_experts = Moe ? 8 : 1;  // more than one: a mixture; its number is dyn too
    c.model.vocab_size = dyn;
    c.model.shard_activations = true;
    c.quantized = Quantized;
    return c;
  }();
};

/// A model axis longer than Grok-1 has key/value heads is cut so that these lie over its first part.
template <index_t Data, index_t Model>
using ProgramMesh =
    Mesh<Axis<data, Data>, std::conditional_t<(Model > 8), Axis<model, 8, Model / 8>, Axis<model, Model>>>;

namespace detail {

/// Heads are not cut: every device holds whole ones, and the same number.
template <class M>
void check_mesh(const LanguageModelConfig& config) {
  const auto check = [](index_t heads, const char* kind, index_t devices) {
    if (heads % devices != 0)
      fail("the model has ", heads, " ", kind, " heads, which do not divide over a model axis of ", devices,
           "\nChoose a mesh whose model axis divides ", heads);
  };
  check(config.model.num_kv_heads, "key/value", M::template size_along<key_value_axis<M, dyn>>);
  check(config.model.num_q_heads, "query", M::template size_along<model>);
}

/// Gives every parameter of a model that stores nothing its sizes and its number in `order`, so that its bill can be run.
template <class C, class M>
void declare_parameters(LanguageModel<C, M, Dry>& model, const std::vector<Leaf>& order) {
  std::map<std::string, std::size_t> index;
  for (std::size_t i = 0; i < order.size(); ++i) index.emplace(order[i].path, i);
  model.parameters([&](const nn::Scope& scope, auto& tensor) {
    using X = std::remove_reference_t<decltype(tensor)>;
    const std::size_t i = index.at(scope.path());
    std::array<index_t, static_cast<std::size_t>(X::rank)> all{};
    std::copy_n(order[i].shape.begin(), X::rank, all.begin());
    tensor = X(Extents<typename X::shape>::from(all), Dry::parameter<typename X::value_type>(static_cast<int>(i)));
    tensor.storage().set_scale_groups(std::max<index_t>(1, order[i].groups));
  });
}

template <class X>
LeafShard leaf_shard(const X& tensor, const Leaf& leaf) {
  const auto& local = tensor.local_extents().array();
  return {.spec = spec_text<typename X::mesh>(X::sharding),
          .sharding = X::sharding,
          .shape = {local.begin(), local.end()},
          .bytes = shard_bytes(tensor, std::max<index_t>(1, leaf.groups))};
}

template <class C, class M>
std::vector<LeafShard> shards_of(const LanguageModelConfig& config) {
  const std::vector<Leaf> order = leaves(config);
  LanguageModel<C, M, Dry> model(config);
  declare_parameters(model, order);
  std::vector<LeafShard> shards(order.size());
  model.parameters([&](const nn::Scope&, auto& tensor) {
    const auto i = static_cast<std::size_t>(tensor.storage().parameter());
    shards[i] = leaf_shard(tensor, order[i]);
  });
  return shards;
}

/// One pass under a strategy, over a batch whose rows hold `start` tokens already and get `tokens` more.
template <class C, class M, class Strategy>
PassBill pass_of(const LanguageModelConfig& config, const char* name, index_t batch, index_t capacity, index_t tokens,
                 index_t start) {
  LanguageModel<C, M, Dry> model(config);
  declare_parameters(model, leaves(config));
  PassBill bill{.strategy = name};
  Dry dev;
  dev.timeline = &bill.timeline;
  auto memory = model.init_memory(dev, batch, capacity);
  std::vector<Segment> rows;
  for (index_t b = 0; b < batch; ++b) rows.push_back({b, start, tokens});
  const auto ids = make<typename Types<C, M, Dry>::Tokens>(dev, Extents<Shape<dyn, dyn>>{batch, tokens});
  (void)model.pass(dev, ids, memory, Segments(rows.data(), batch), Strategy{});
  bill.cost = dev.cost;
  return bill;
}

/// Under every strategy. They differ only where weights are sharded over `data`.
template <class C, class M>
std::vector<PassBill> passes_of(const LanguageModelConfig& config, index_t batch, index_t capacity, index_t tokens,
                                index_t start) {
  std::vector<PassBill> passes = {
      pass_of<C, M, nn::WeightStationary>(config, "stationary", batch, capacity, tokens, start)};
  if constexpr (M::template size_along < data >> 1)
    passes.push_back(pass_of<C, M, nn::Gathered>(config, "gathered", batch, capacity, tokens, start));
  return passes;
}

template <class C, class M>
Bill bill_of(const LanguageModelConfig& config, const Load& load) {
  const index_t parts = M::template size_along<data>;
  Bill bill{.rows = (load.batch + parts - 1) / parts * parts};
  bill.prefill = passes_of<C, M>(config, bill.rows, load.context, load.prompt, 0);
  bill.decode = passes_of<C, M>(config, bill.rows, load.context, 1, load.context - 1);
  return bill;
}

template <class M>
std::string names_of(unsigned positions) {
  DimAxes axes;
  for (int a = 0; a < M::rank; ++a)
    if (positions >> a & 1u) axes.push(a);
  return axes_text<M>(axes);
}
template <class M>
std::vector<LeafShard> shards(const LanguageModelConfig& config) {
  if (config.model.is_moe())
    return config.quantized ? shards_of<RunTimeSizes<true, true>, M>(config)
                            : shards_of<RunTimeSizes<true, false>, M>(config);
  return config.quantized ? shards_of<RunTimeSizes<false, true>, M>(config)
                          : shards_of<RunTimeSizes<false, false>, M>(config);
}
template <class M>
Bill bill(const LanguageModelConfig& config, const Load& load) {
  check_mesh<M>(config);
  return config.model.is_moe() ? bill_of<RunTimeSizes<true, true>, M>(config, load)
                               : bill_of<RunTimeSizes<false, true>, M>(config, load);
}
}  // namespace detail

template <index_t Data, index_t Model>
MeshEntry planned_mesh() {
  using M = ProgramMesh<Data, Model>;
  return {.name = std::to_string(Data) + "x" + std::to_string(Model),
          .data = Data,
          .model = Model,
          .mesh = mesh_value<M>,
          .axes = detail::names_of<M>,
          .bill = detail::bill<M>,
          .shards = detail::shards<M>};
}

}  // namespace grok1
