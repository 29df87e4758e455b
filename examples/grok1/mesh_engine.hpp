// MeshEngine: everything the program can do on one mesh, for models whose sizes are known only at run time.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <map>

#include <tess/device/dry.hpp>
#include <tess/sharding/spec_text.hpp>

#include "engine.hpp"
#include "load.hpp"
#include "runner.hpp"

namespace grok1 {

/// A configuration whose sizes are all dyn: the checkpoint and its config.json decide. Only the kind of the blocks is
/// in the type.
template <bool Moe, bool Quantized>
struct RunTimeSizes {
  static constexpr LanguageModelConfig value = [] {
    LanguageModelConfig c;
    c.model.num_experts = Moe ? 8 : 1;  // more than one: a mixture; its number is dyn too
    c.model.vocab_size = dyn;
    c.model.shard_activations = true;
    c.quantized = Quantized;
    return c;
  }();
};

template <index_t Data, index_t Model>
using ProgramMesh = Mesh<Axis<data, Data>, Axis<model, Model>>;

namespace detail {

/// Heads are not cut: every device holds whole ones, and the same number.
template <class M>
void check_mesh(const LanguageModelConfig& config) {
  const index_t devices = M::template size_along<model>;
  if (config.model.num_kv_heads % devices != 0)
    fail("the model has ", config.model.num_kv_heads, " key/value heads, which do not divide over a model axis of ",
         devices, "\nChoose a mesh whose model axis divides ", config.model.num_kv_heads);
}

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
  int threads() const override { return threads_; }
  index_t received_bytes() const override { return dev_.traffic().most_bytes(); }

 private:
  Host dev_;
  int threads_ = dev_.pool().size();
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

/// Gives every parameter of a model that stores nothing its sizes, so that its bill can be run.
template <class C, class M>
void declare_parameters(LanguageModel<C, M, Dry>& model) {
  std::map<std::string, Leaf> by_path;
  for (const Leaf& leaf : leaves(model.config)) by_path.emplace(leaf.path, leaf);
  model.parameters([&](const nn::Scope& scope, auto& tensor) {
    using X = std::remove_reference_t<decltype(tensor)>;
    std::array<index_t, static_cast<std::size_t>(X::rank)> all{};
    std::copy_n(by_path.at(scope.path()).shape.begin(), X::rank, all.begin());
    tensor = X(Extents<typename X::shape>::from(all), {});
  });
}

/// The scale rows that a shard of `rows` out of K rows touches, at worst, when there are `groups` of them.
inline index_t local_groups(index_t rows, index_t k, index_t groups) {
  const index_t group_rows = k / groups;
  return rows >= group_rows ? (rows + group_rows - 1) / group_rows : (group_rows % rows == 0 ? 1 : 2);
}

template <class X>
LeafShard leaf_shard(const X& tensor, const Leaf& leaf) {
  LeafShard s;
  s.spec = spec_text<typename X::mesh>(X::sharding);
  const auto& local = tensor.local_extents().array();
  s.shape.assign(local.begin(), local.end());
  const index_t size = tensor.local_extents().size();
  if (leaf.quantized()) {
    const index_t rows = s.shape[s.shape.size() - 2], k = leaf.shape[leaf.shape.size() - 2];
    s.bytes = size + size / rows * local_groups(rows, k, leaf.groups) * 2;
  } else {
    s.bytes = size * (is_table<typename X::value_type> ? 2 : 4);  // the embedding is kept in bf16
  }
  return s;
}

template <class C, class M>
std::vector<LeafShard> shards_of(const LanguageModelConfig& config) {
  LanguageModel<C, M, Dry> model(config);
  declare_parameters(model);
  const std::vector<Leaf> order = leaves(config);
  std::map<std::string, std::size_t> index;
  for (std::size_t i = 0; i < order.size(); ++i) index.emplace(order[i].path, i);
  std::vector<LeafShard> shards(order.size());
  model.parameters([&](const nn::Scope& scope, auto& tensor) {
    const std::size_t i = index.at(scope.path());
    shards[i] = leaf_shard(tensor, order[i]);
  });
  return shards;
}

template <class C, class M>
Bill bill_of(const LanguageModelConfig& config, index_t prompt, index_t batch_per_part, index_t context) {
  using T = Types<C, M, Dry>;
  LanguageModel<C, M, Dry> model(config);
  declare_parameters(model);
  const index_t parts = M::template size_along<data>, batch = parts * batch_per_part;
  auto run = [&](index_t tokens, index_t start) {
    Dry dev;
    auto memory = model.init_memory(dev, batch, config.sequence_len);
    std::vector<Segment> rows;
    for (index_t b = 0; b < batch; ++b) rows.push_back({b, start, tokens});
    const auto ids = make<typename T::Tokens>(dev, Extents<Shape<dyn, dyn>>{batch, tokens});
    (void)model(dev, ids, memory, Segments(rows.data(), batch));
    return dev.cost;
  };
  Bill bill;
  bill.prompt = prompt, bill.batch = batch, bill.context = context;
  bill.prefill = run(prompt, 0);
  bill.decode = run(1, context - 1);
  for (const LeafShard& s : shards_of<C, M>(config)) bill.parameter_bytes += s.bytes;
  Dry dev;
  const auto memory = model.init_memory(dev, batch, config.sequence_len);
  for (const auto& layer : memory.layers)
    bill.cache_bytes +=
        (layer.keys.local_extents().size() + layer.values.local_extents().size()) * static_cast<index_t>(sizeof(bf16));
  return bill;
}

template <class M>
std::vector<LeafShard> shards(const LanguageModelConfig& config) {
  return config.model.is_moe() ? shards_of<RunTimeSizes<true, true>, M>(config)
                               : shards_of<RunTimeSizes<false, true>, M>(config);
}
template <class M>
Bill bill(const LanguageModelConfig& config, index_t prompt, index_t batch_per_part, index_t context) {
  check_mesh<M>(config);
  return config.model.is_moe() ? bill_of<RunTimeSizes<true, true>, M>(config, prompt, batch_per_part, context)
                               : bill_of<RunTimeSizes<false, true>, M>(config, prompt, batch_per_part, context);
}
}  // namespace detail

template <index_t Data, index_t Model>
MeshEntry planned_mesh() {
  using M = ProgramMesh<Data, Model>;
  return {std::to_string(Data) + "x" + std::to_string(Model), Data, Model, nullptr, detail::bill<M>, detail::shards<M>};
}
template <index_t Data, index_t Model>
MeshEntry runnable_mesh() {
  MeshEntry e = planned_mesh<Data, Model>();
  e.make_engine = detail::make_engine<ProgramMesh<Data, Model>>;
  return e;
}

}  // namespace grok1
