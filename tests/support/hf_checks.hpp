// What every model of the Hugging Face hub must do: the checks that its tests make, a few meshes in each file.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <doctest/doctest.h>

#include <cstdio>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <tess/io/save_model.hpp>

#include "support/files.hpp"
#include "support/hf_golden.hpp"

namespace tess::test {

/// The largest difference.
inline f64 farthest(const Values& found, const Values& truth) {
  f64 most = found.size() == truth.size() ? 0 : NAN;
  for (std::size_t i = 0; i < truth.size() && !std::isnan(most); ++i)
    most = std::max(most, std::abs(found[i] - truth[i]));
  return most;
}
inline f64 rms(const Values& found, const Values& truth) {
  f64 sum = found.size() == truth.size() ? 0 : NAN;
  for (std::size_t i = 0; i < truth.size() && !std::isnan(sum); ++i)
    sum += (found[i] - truth[i]) * (found[i] - truth[i]);
  return std::sqrt(sum / static_cast<f64>(truth.size()));
}

/// Logits in f32: within 1e-5 of float64 by norm, and at every place no farther than twice transformers' farthest.
inline void check_logits(const Values& found, const Values& truth, const HfGolden& golden) {
  CHECK(relative_error(found, truth) <= 1e-5);
  CHECK(farthest(found, truth) <= 2 * golden.largest_error);
}

/// The experts of each token with their weights, as sets: equal experts, weights within 1e-5.
inline void check_routes(const std::vector<i32>& experts, const Values& weights, const std::vector<i32>& their_experts,
                         const Values& their_weights, std::size_t chosen) {
  REQUIRE(experts.size() == their_experts.size());
  REQUIRE(weights.size() == their_weights.size());
  for (std::size_t t = 0; t < experts.size(); t += chosen) {
    std::vector<std::pair<i32, f64>> ours, theirs;
    for (std::size_t j = t; j < t + chosen; ++j)
      ours.emplace_back(experts[j], weights[j]), theirs.emplace_back(their_experts[j], their_weights[j]);
    std::sort(ours.begin(), ours.end()), std::sort(theirs.begin(), theirs.end());
    for (std::size_t j = 0; j < chosen; ++j) {
      CHECK(ours[j].first == theirs[j].first);
      CHECK(std::abs(ours[j].second - theirs[j].second) <= 1e-5);
    }
  }
}

/// A pass in full view: the logits, the hidden state behind every layer, each router's logits and choices.
template <class Family, class C>
void check_stages(const std::string& name) {
  const HfGolden golden(name);
  HfModel<Family, C, hf::MeshOf<1, 1, 1>> lm(name);
  std::size_t routers = 0;
  const Values logits = trace(
      lm, golden.tokens, golden.batch,
      [&](std::size_t i, const Values& x) {
        CHECK_MESSAGE(relative_error(x, golden["hidden_states." + std::to_string(i)]) <= 5e-6, "hidden state ", i);
      },
      [&](std::size_t l, const auto& moe, const auto& x) {
        const std::string layer = "." + std::to_string(l);
        REQUIRE_MESSAGE(golden.has("router_logits" + layer), "layer ", l, " should be dense");
        ++routers;
        CHECK(relative_error(whole(moe.router.logits(lm.dev, x)), golden["router_logits" + layer]) <= 1e-5);
        const auto routes = moe.router(lm.dev, x);
        const Values experts = whole(routes.experts);
        check_routes({experts.begin(), experts.end()}, whole(routes.weights), golden.ints("topk_index" + layer),
                     golden["topk_weight" + layer], static_cast<std::size_t>(routes.experts.extent(2)));
      });
  for (std::size_t l = 0; l < lm.model.layers.blocks.size(); ++l)
    routers -= golden.has("router_logits." + std::to_string(l));
  CHECK(routers == 0);  // no layer is dense that should have experts
  check_logits(logits, golden.logits, golden);
  CHECK(lm.all_logits(golden.tokens, golden.batch) == logits);  // bit for bit
  CHECK(lm.greedy(golden.prompt, 32) == golden.continuation);
  std::printf("%s: logits %.1e from float64 at most, transformers' own %.1e\n", name.c_str(),
              farthest(logits, golden.logits), golden.largest_error);
}

/// A model that transformers ran in bf16: logits by rms within 1.05 of its own error, and the same token wherever float64
/// decides by more than twice its largest. `weights`: the golden with the weights in f32, to be rounded.
template <class Family, class C>
void check_bf16(const std::string& name, const std::string& weights) {
  const HfGolden golden(name);
  const TemporaryFolder folder;
  std::vector<std::vector<bf16>> rounded;
  std::vector<io::NamedArray> arrays = io::SafetensorsFile(hf_folder(weights) / "model.safetensors").arrays();
  for (io::NamedArray& a : arrays) {
    const auto values = io::values_as<f32>(a.array);
    rounded.emplace_back(values.begin(), values.end());
    a.array.dtype = io::DType::bf16, a.array.data = std::as_bytes(std::span(rounded.back()));
  }
  io::write_safetensors(folder / "model.safetensors", arrays);

  HfModel<Family, C, hf::MeshOf<1, 1, 1>, bf16> lm(hf_folder(name) / "config.json", folder.path());
  const Values logits = lm.all_logits(golden.tokens, golden.batch);
  const f64 ours = rms(logits, golden.logits);
  CHECK(ours <= 1.05 * golden.rms_error);
  const auto V = static_cast<std::size_t>(golden.vocabulary);
  std::size_t decided = 0;
  for (std::size_t at = 0; at < logits.size(); at += V) {
    Values sorted(golden.logits.begin() + static_cast<std::ptrdiff_t>(at),
                  golden.logits.begin() + static_cast<std::ptrdiff_t>(at + V));
    std::partial_sort(sorted.begin(), sorted.begin() + 2, sorted.end(), std::greater<>());
    if (sorted[0] - sorted[1] <= 2 * golden.largest_error) continue;
    CHECK(argmax(logits, at, V) == argmax(golden.logits, at, V));
    ++decided;
  }
  CHECK(2 * decided > golden.tokens.size());
  std::printf("%s: logits %.1e from float64 by rms, transformers' own %.1e\n", name.c_str(), ours, golden.rms_error);
}

/// config.json as the hub's files spell it: rope_theta beside rope_scaling, torch_dtype, and Qwen3's num_experts.
inline std::string older_spelling(std::string config) {
  const std::string begin = "\"rope_parameters\": {", theta = "\"rope_theta\": ";
  const std::size_t at = config.find(begin), end = config.find('}', at);
  std::string inside = config.substr(at + begin.size(), end - at - begin.size());
  const std::size_t line = inside.find(theta), comma = inside.find(',', line);
  const std::string field = inside.substr(line, comma - line);
  inside.erase(line, comma + 1 - line);
  const bool scaled = contains(inside, "yarn");
  config.replace(at, end + 1 - at, field + ", \"rope_scaling\": " + (scaled ? "{" + inside + "}" : "null"));
  if (contains(config, "\"qwen3_moe\"")) config = replaced(config, "num_local_experts", "num_experts");
  return replaced(config, "\"dtype\"", "\"torch_dtype\"");
}

/// The type that knows no number, and the older spelling: the same logits to the bit.
template <class Family, class C>
void check_config(const std::string& name) {
  const HfGolden golden(name);
  const TemporaryFolder folder;
  write_file(folder / "config.json", older_spelling(read_file(hf_folder(name) / "config.json")));
  using Lone = hf::MeshOf<1, 1, 1>;
  const std::vector<i32> row(golden.tokens.begin(), golden.tokens.begin() + golden.length);
  const Values logits = HfModel<Family, C, Lone>(name).all_logits(row, 1);
  CHECK(HfModel<Family, Open<Family>, Lone>(name).all_logits(row, 1) == logits);
  CHECK(HfModel<Family, C, Lone>(folder / "config.json", hf_folder(name)).all_logits(row, 1) == logits);
}

/// What is loaded and saved is the published file again, tensor by tensor and bit by bit.
template <class Family, class C, index_t Data = 1, index_t Expert = 1, index_t... Model>
void check_saved(const std::string& name) {
  const HfModel<Family, C, hf::MeshOf<Data, Expert, Model...>> lm(name);
  const TemporaryFolder folder;
  io::save_model(lm.model, Family::names(lm.config), folder / "model.safetensors");
  const io::SafetensorsFile saved(folder / "model.safetensors"), published(hf_folder(name) / "model.safetensors");
  REQUIRE(saved.names() == published.names());
  for (const io::NamedArray& a : published.arrays()) {
    const io::ArrayView& found = saved[a.name];
    CHECK_MESSAGE(io::describe(found) == io::describe(a.array), a.name);
    CHECK_MESSAGE(std::equal(found.data.begin(), found.data.end(), a.array.data.begin(), a.array.data.end()), a.name);
  }
}

/// ‖sharded − unsharded‖ / ‖unsharded‖ of logits: sums over shards are reordered f32 sums, in a few layers.
inline constexpr f64 reordered = 3e-6;

/// On a mesh: the logits of float64 and of one device, the greedy tokens, and the bytes that the bill says; where tokens
/// go to experts on other devices, at most those.
template <class Family, class C, index_t Data, index_t Expert, index_t... Model>
void check_mesh(const std::string& name) {
  using M = hf::MeshOf<Data, Expert, Model...>;
  const HfGolden golden(name);
  HfModel<Family, C, M> lm(name);
  const Outcome sharded = outcome(lm, golden);
  check_logits(sharded.logits, Ragged().truth(golden), golden);
  if constexpr (M::size > 1) {
    HfModel<Family, C, hf::MeshOf<1, 1, 1>> lone(name);
    const Outcome unsharded = outcome(lone, golden);
    CHECK(relative_error(sharded.logits, unsharded.logits) <= reordered);
    CHECK(unsharded.moved.prefill_bytes == 0);
  }
  CHECK(lm.greedy(golden.prompt, 32) == golden.continuation);

  const Moved most = bill<Family, C, M>(lm.config), &moved = sharded.moved;
  CHECK(moved.prefill_collectives == most.prefill_collectives);
  CHECK(moved.decode_collectives == most.decode_collectives);
  if (Expert == 1) {
    CHECK(moved.prefill_bytes == most.prefill_bytes);
    CHECK(moved.decode_bytes == most.decode_bytes);
  } else {
    CHECK(moved.prefill_bytes <= most.prefill_bytes);
    CHECK(moved.decode_bytes <= most.decode_bytes);
  }
  CHECK((moved.decode_bytes > 0) == (M::size > Data));
  std::printf("%s on %dx%dx%d: %lld bytes in prefill, %lld at most; %lld and %lld in decode\n", name.c_str(),
              static_cast<int>(Data), static_cast<int>(Expert), static_cast<int>((Model * ...)),
              static_cast<long long>(moved.prefill_bytes), static_cast<long long>(most.prefill_bytes),
              static_cast<long long>(moved.decode_bytes), static_cast<long long>(most.decode_bytes));
}

}  // namespace tess::test
