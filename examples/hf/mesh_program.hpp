// MeshProgram: a model of examples/ on one mesh, with sizes that its config.json decides.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <tess/device/dry.hpp>
#include <tess/io/declare.hpp>
#include <tess/io/init_model.hpp>
#include <tess/io/load_model.hpp>
#include <tess/io/save_model.hpp>
#include <tess/sharding/spec_text.hpp>

#include "decoder.hpp"
#include "program.hpp"

namespace hf {

namespace detail {

/// All sizes open: config.json decides.
template <class Model>
struct AnySize {
  static constexpr typename Model::Config value{};
};

template <class Model>
typename Model::Config read_config(const std::filesystem::path& file) {
  io::ConfigFields fields(file);
  typename Model::Config config;
  config.read(fields);
  fields.check();
  return config;
}

template <class Model, class M, class D, class W>
using model_type = typename Model::template Types<AnySize<Model>, M, D, W>::Model;

// [quote:load]
template <class Model, class M, class D, class W, class Device>
std::unique_ptr<generate::Engine> load(const LoadOptions& o, const Device& device) {
  using LM = model_type<Model, M, D, W>;
  const auto config = read_config<Model>(o.config);
  const io::Names names = Model::names(config);
  LM lm;
  Model::set(lm, config);
  const auto fill = [&](D& dev, LM& model) {
    if (o.checkpoint.empty()) io::init_model(dev, model, names, o.seed);
    else io::load_model(dev, model, io::SafetensorsCheckpoint(o.checkpoint), names, o.progress);
    if (!o.save.empty()) io::save_model(dev, model, names, o.save);
  };
  return std::make_unique<generate::EngineOf<LM, D>>(std::move(lm), device, o.slots, o.capacity, fill);
}
// [/quote]

/// One pass over a batch whose rows hold `start` tokens already and get `tokens` more.
template <class LM>
Cost bill(const LM& lm, index_t batch, index_t capacity, index_t start, index_t tokens) {
  Dry dev;
  auto memory = lm.init_memory(dev, batch, capacity);
  std::vector<Segment> rows;
  for (index_t b = 0; b < batch; ++b) rows.push_back({b, start, tokens});
  const auto ids = make<typename LM::Tokens>(dev, Extents<Shape<dyn, dyn>>{batch, tokens});
  (void)lm(dev, ids, memory, Segments(rows.data(), batch));
  return dev.cost;
}

template <class M>
std::string axes_names(unsigned positions) {
  DimAxes axes;
  for (int a = 0; a < M::rank; ++a)
    if (positions >> a & 1u) axes.push(a);
  return axes_text<M>(axes);
}

template <class Model, class M, class W>
Plan plan(const PlanOptions& o) {
  using LM = model_type<Model, M, Dry, W>;
  const auto config = read_config<Model>(o.config);
  LM lm;
  Model::set(lm, config);
  io::declare_parameters(lm, Model::names(config));
  constexpr index_t parts = M::template size_along<data> * M::template size_along<expert>;
  Plan p{.rows = (o.batch + parts - 1) / parts * parts, .axes = axes_names<M>};
  lm.parameters([&](const nn::Scope&, const auto& x) {
    p.parameters += x.extents().size();
    p.parameter_bytes += shard_bytes(x);
    if (p.parameters > index_t{1} << 41)  // 2.2 trillion: with more, products of a long prompt are no numbers
      fail(o.config.string(), ": describes more parameters than any model has");
  });
  p.prefill = bill(lm, p.rows, o.context, 0, o.prompt);
  p.decode = bill(lm, p.rows, o.context, o.context - 1, 1);
  if (p.prefill.flops < 0 || p.decode.flops < 0) fail("the arithmetic of so many tokens is too much to be counted");
  return p;
}
}  // namespace detail

/// The entry of one mesh. Model: Config with read(ConfigFields&), Types<C, M, D, W>::Model, set(model, config), names(config).
template <class Model, index_t Data, index_t Expert, index_t Tensor>
MeshProgram mesh_program() {
  using M = MeshOf<Data, Expert, Tensor>;
  return {.data = Data,
          .expert = Expert,
          .model = Tensor,
          .load =
              [](const LoadOptions& o) {
                return o.weights == Weights::bf16 ? detail::load<Model, M, Host, bf16>(o, o.threads)
                                                  : detail::load<Model, M, Host, f32>(o, o.threads);
              },
          .plan =
              [](const PlanOptions& o) {
                return o.weights == Weights::bf16 ? detail::plan<Model, M, bf16>(o) : detail::plan<Model, M, f32>(o);
              }};
}

}  // namespace hf
