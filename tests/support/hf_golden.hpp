// Models of the Hugging Face hub against transformers' own numbers: files, a loaded model, and what a run of it leaves.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <tess/device/dry.hpp>
#include <tess/generate/runner.hpp>
#include <tess/io/config_fields.hpp>
#include <tess/io/load_model.hpp>
#include <tess/io/safetensors.hpp>
#include <tess/io/transfer.hpp>

#include "hf/decoder.hpp"
#include "support/golden_values.hpp"

namespace tess::test {

inline std::filesystem::path hf_folder(const std::string& name) { return std::filesystem::path(TESS_HF_DATA) / name; }

/// One golden.safetensors (tests/data/hf.tar.xz, unpacked; tests/tools/pack_goldens.py says what it holds).
class HfGolden {
 public:
  explicit HfGolden(const std::string& name)
      : file_(hf_folder(name) / "golden.safetensors"),
        tokens(ints("tokens")),
        prompt(ints("generate_prompt")),
        continuation(ints("generate")),
        logits((*this)["logits_f64"]),
        largest_error((*this)["error/logits"][0]),
        rms_error((*this)["error/logits"][1]),
        batch(file_["tokens"].shape[0]),
        length(file_["tokens"].shape[1]),
        vocabulary(file_["logits_f64"].shape[2]) {}

  bool has(const std::string& tensor) const { return file_.has(tensor); }
  Values operator[](const std::string& tensor) const { return io::values_as<f64>(file_[tensor]); }
  std::vector<i32> ints(const std::string& tensor) const { return io::values_as<i32>(file_[tensor]); }

 private:
  io::SafetensorsFile file_;

 public:
  std::vector<i32> tokens;                // [batch, length]
  std::vector<i32> prompt, continuation;  // greedy
  Values logits;                          // in float64, [batch, length, vocabulary]
  f64 largest_error, rms_error;           // of transformers' own logits against them
  index_t batch, length, vocabulary;
};

/// Everything as config.json says: the type of a model that knows no number.
template <class Family>
struct Open {
  static constexpr typename Family::Config value{};
};

/// A model of the family on device D, from config.json and a checkpoint.
template <class Family, class C, AnyMesh M, class Weight = f32, class D = Host>
struct HfModel {
  using Model = typename Family::template Types<C, M, D, Weight>::Model;
  using Config = typename Family::Config;

  D dev;
  Config config = C::value;
  Model model;

  HfModel(const std::filesystem::path& config_file, const std::filesystem::path& weights) {
    io::ConfigFields fields(config_file);
    config.read(fields);
    fields.check();
    Family::set(model, config);
    io::load_model(dev, model, io::SafetensorsCheckpoint(weights), Family::names(config));
  }
  explicit HfModel(const std::string& golden) : HfModel(hf_folder(golden) / "config.json", hf_folder(golden)) {}

  typename Model::Tokens tokens(std::span<const i32> ids, index_t batch) {
    const Extents<Shape<dyn, dyn>> extents{batch, static_cast<index_t>(ids.size()) / batch};
    auto t = make<typename Model::Tokens>(dev, extents);
    if constexpr (std::is_same_v<D, Host>)
      for (index_t r = 0; r < M::size; ++r) std::copy(ids.begin(), ids.end(), t.storage().data(r));
    else
      dev.template each_rank<typename Model::Tokens>([&](index_t r, auto& gpu) {
        gpu.upload(t.storage().data(r), ids.data(), static_cast<index_t>(ids.size_bytes()));
      });
    return t;
  }
  /// The elements of a finished tensor.
  template <AnyTensor X>
  Values read(const X& x) {
    if constexpr (std::is_same_v<D, Host>) return whole(x);
    else return whole(io::on_each_host(dev, x));
  }
  /// Logits [B, T, V] of every token, from an empty memory.
  Values all_logits(std::span<const i32> ids, index_t batch) {
    const index_t T = static_cast<index_t>(ids.size()) / batch;
    auto memory = model.init_memory(dev, batch, T);
    const auto rows = segments(std::vector<index_t>(static_cast<std::size_t>(batch), T));
    return read(model.template operator()<nn::Positions::all>(dev, tokens(ids, batch), memory, view(rows)));
  }
  /// The tokens that follow a prompt, always the most probable.
  std::vector<i32> greedy(const std::vector<i32>& prompt, index_t count) {
    generate::Runner<Model, D> runner(dev, model, 1, static_cast<index_t>(prompt.size()) + count);
    const generate::Request request{.prompt = prompt, .max_tokens = count, .settings = {.temperature = 0}};
    return runner.generate({&request, 1})[0].tokens;
  }
};

/// f(layer) for the mixture of experts inside a feed-forward block, through Either, Parallel and Gated; none, no call.
template <class Block, class F>
void with_experts(const Block& block, F&& f) {
  if constexpr (requires { block.router; }) f(block);
  else if constexpr (requires { block.takes_second; }) {
    if (block.takes_second) with_experts(block.second, f);
    else with_experts(block.first, f);
  } else if constexpr (requires { block.layers; }) {
    std::apply([&](const auto&... part) { (with_experts(part, f), ...); }, block.layers);
  } else if constexpr (requires { block.layer; }) {
    with_experts(block.layer, f);
  }
}

/// A pass, step by step. hidden(i, x) as transformers counts: 0 the embeddings, then behind each layer, but behind the
/// last one also the norm; experts(l, layer, x): the mixture of experts of layer l and what its router sees. -> logits.
template <class LM, class Hidden, class Experts>
Values trace(LM& lm, std::span<const i32> ids, index_t batch, Hidden hidden, Experts experts) {
  Host& dev = lm.dev;
  const auto& model = lm.model;
  const index_t T = static_cast<index_t>(ids.size()) / batch;
  auto memory = model.init_memory(dev, batch, T);
  const auto rows = segments(std::vector<index_t>(static_cast<std::size_t>(batch), T));
  auto x = model.embedded(dev, lm.tokens(ids, batch));
  const std::size_t layers = model.layers.blocks.size();
  for (std::size_t l = 0; l < layers; ++l) {
    hidden(l, whole(x));
    const auto& layer = model.layers.blocks[l];
    const auto h = layer.attend(dev, x, memory[l], view(rows));
    const auto normed = layer.feed_forward_norm(dev, h);
    with_experts(layer.feed_forward, [&](const auto& moe) { experts(l, moe, normed); });
    x = layer.feed(dev, h);
  }
  hidden(layers, whole(model.norm(dev, x)));
  return whole(model.logits(dev, x));
}

/// Ragged prompts, and the tokens after them one by one: rows of the golden, so that every logit has its float64.
struct Ragged {
  static constexpr index_t rows = 4, steps = 4;
  std::vector<index_t> lengths{20, 13, 8, 5};

  std::vector<i32> prompts(const HfGolden& golden) const {
    std::vector<i32> ids(static_cast<std::size_t>(rows * lengths[0]));
    for (std::size_t b = 0; b < lengths.size(); ++b)
      std::copy_n(token(golden, b, 0), lengths[b], ids.begin() + static_cast<std::ptrdiff_t>(b) * lengths[0]);
    return ids;
  }
  std::vector<i32> next(const HfGolden& golden, index_t step) const {
    std::vector<i32> ids;
    for (std::size_t b = 0; b < lengths.size(); ++b) ids.push_back(*token(golden, b, lengths[b] + step));
    return ids;
  }
  /// float64 of everything that a run returns, [1 + steps, rows, V].
  Values truth(const HfGolden& golden) const {
    Values all;
    for (index_t step = 0; step <= steps; ++step)
      for (std::size_t b = 0; b < lengths.size(); ++b) {
        const auto at =
            golden.logits.begin() + (row(golden, b) * golden.length + lengths[b] - 1 + step) * golden.vocabulary;
        all.insert(all.end(), at, at + golden.vocabulary);
      }
    return all;
  }

 private:
  static index_t row(const HfGolden& golden, std::size_t b) { return static_cast<index_t>(b) % golden.batch; }
  static std::vector<i32>::const_iterator token(const HfGolden& golden, std::size_t b, index_t t) {
    return golden.tokens.begin() + row(golden, b) * golden.length + t;
  }
};

/// Collectives and bytes of the busiest device, of a prefill and of a decode step.
struct Moved {
  index_t prefill_collectives = 0, prefill_bytes = 0, decode_collectives = 0, decode_bytes = 0;
};

struct Outcome {
  Values logits;  // [1 + steps, rows, V]
  Moved moved;    // by the first step of decode
};

template <class LM>
Outcome outcome(LM& lm, const HfGolden& golden) {
  const Ragged batch;
  Outcome o;
  auto lengths = batch.lengths;
  auto memory = lm.model.init_memory(lm.dev, Ragged::rows, golden.length);
  const auto feed = [&](std::span<const i32> ids, const std::vector<Segment>& rows) {
    lm.dev.reset_traffic();
    const Values logits = whole(lm.model(lm.dev, lm.tokens(ids, Ragged::rows), memory, view(rows)));
    o.logits.insert(o.logits.end(), logits.begin(), logits.end());
  };
  feed(batch.prompts(golden), segments(lengths));
  o.moved.prefill_collectives = lm.dev.traffic().collectives;
  o.moved.prefill_bytes = lm.dev.traffic().busiest_bytes;
  for (index_t step = 0; step < Ragged::steps; ++step) {
    feed(batch.next(golden, step), segments(std::vector<index_t>(lengths.size(), 1), lengths));
    for (index_t& n : lengths) ++n;
    if (step > 0) continue;
    o.moved.decode_collectives = lm.dev.traffic().collectives;
    o.moved.decode_bytes = lm.dev.traffic().busiest_bytes;
  }
  return o;
}

/// The same on the device that stores nothing.
template <class Family, class C, AnyMesh M, class Weight = f32>
Moved bill(const typename Family::Config& config) {
  using Model = typename Family::template Types<C, M, Dry, Weight>::Model;
  Model model;
  Family::set(model, config);
  const Ragged batch;
  const auto pass = [&](index_t tokens, const std::vector<Segment>& rows) {
    Dry dev;
    auto memory = model.init_memory(dev, Ragged::rows, 32);
    const auto ids = make<typename Model::Tokens>(dev, Extents<Shape<dyn, dyn>>{Ragged::rows, tokens});
    (void)model(dev, ids, memory, view(rows));
    return dev.cost;
  };
  const Cost prefill = pass(batch.lengths[0], segments(batch.lengths));
  const Cost decode = pass(1, segments(std::vector<index_t>(batch.lengths.size(), 1), batch.lengths));
  return {prefill.collectives, prefill.bytes, decode.collectives, decode.bytes};
}

}  // namespace tess::test
