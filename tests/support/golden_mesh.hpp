// A model on a mesh against the same model unsharded, and the bytes that really moved against the bill.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <doctest/doctest.h>

#include <tess/device/dry.hpp>

#include "support/golden_decode.hpp"

namespace tess::test {

/// Eight ragged rows, and a token more for each: copies of the golden's own, whose routes have no tie within our error.
struct Batch {
  explicit Batch(const std::string& folder) {
    const Golden golden(folder);
    const std::vector<i32> forced = column(golden.ints("decode/tokens"), golden.batch, 0);
    length = golden.length;
    while (lengths.size() < 8) {
      prompts.insert(prompts.end(), golden.tokens.begin(), golden.tokens.end());
      lengths.insert(lengths.end(), golden.lengths.begin(), golden.lengths.end());
      next.insert(next.end(), forced.begin(), forced.end());
    }
  }
  std::vector<i32> prompts, next;  // [8, length], [8]
  std::vector<index_t> lengths;
  index_t length = 0;
};

/// What a run leaves: logits of the prompt and of a step, keys and values of the last layer.
struct Outcome {
  Values prefill, decode, keys, values;
  index_t prefill_collectives = 0, prefill_bytes = 0, decode_collectives = 0, decode_bytes = 0;
};

template <class D, class C, index_t Data, index_t... Model>
Outcome outcome_on(const std::string& folder, Strategy strategy = Strategy::by_bill) {
  const Batch batch(folder);
  LoadedOn<D, C, Data, Model...> grok(grok_folder(folder));
  grok.strategy = strategy;
  GenerationOn<D, C, Data, Model...> run(grok, 8);
  Outcome o;
  grok.dev.reset_traffic();
  o.prefill = run.feed(batch.prompts, batch.lengths);
  o.prefill_collectives = grok.dev.traffic().collectives, o.prefill_bytes = grok.dev.traffic().most_bytes();
  grok.dev.reset_traffic();
  o.decode = run.step(batch.next);
  o.decode_collectives = grok.dev.traffic().collectives, o.decode_bytes = grok.dev.traffic().most_bytes();
  o.keys = run.keys(run.layers - 1), o.values = run.values(run.layers - 1);
  return o;
}
template <class C, index_t Data, index_t... Model>
Outcome outcome(const std::string& folder, Strategy strategy = Strategy::by_bill) {
  return outcome_on<Host, C, Data, Model...>(folder, strategy);
}

/// The same program on the device that stores nothing.
template <class C, class M>
Cost bill(index_t tokens, const std::vector<Segment>& rows, Strategy strategy) {
  Dry dev;
  const grok1::LanguageModel<C, M, Dry> model;
  const auto batch = static_cast<index_t>(rows.size());
  auto memory = model.init_memory(dev, batch, C::value.sequence_len);
  const auto ids = make<typename grok1::Types<C, M, Dry>::Tokens>(dev, Extents<Shape<dyn, dyn>>{batch, tokens});
  (void)pass(model, dev, ids, memory, view(rows), strategy);
  return dev.cost;
}

/// Sums over shards are reordered f32 sums: half a unit in the last place, 2^-24, each; a few dozen of them in sequence.
inline constexpr f64 reordered_sums = 3e-6;
/// Before a product with int8 weights a row of activations is split into two int8 terms by the largest element that the shard sees:
/// 2^-15 of it, through twelve layers.
inline constexpr f64 two_int8_terms = 1e-3;
/// Of logits, which are bf16: a last-bit difference that crosses a rounding boundary becomes 2^-8, of few of them.
inline constexpr f64 rounded_logits = 1e-3;

/// A bf16 cache would round like that in every layer; so it is f32 here.
using MoeOnMesh = Variant<Moe12, nn::SoftmaxTopK<>, f32>;
extern template Outcome outcome<MoeOnMesh, 1, 1>(const std::string&, Strategy);  // golden_mesh_1_test.cpp

/// ‖sharded − unsharded‖ / ‖unsharded‖ <= bound for caches (logits: and their rounding), and traffic equal to the bill,
/// to the byte. Returns the bills of prefill and decode.
template <class C, index_t Data, index_t... Model>
std::array<Cost, 2> check_strategy(const std::string& folder, f64 bound, Strategy strategy, const char* name) {
  CAPTURE(name);
  static const Outcome unsharded = outcome<C, 1, 1>(folder, Strategy::by_bill);
  const Outcome sharded = outcome<C, Data, Model...>(folder, strategy);
  const f64 errors[] = {relative_error(sharded.prefill, unsharded.prefill),
                        relative_error(sharded.decode, unsharded.decode), relative_error(sharded.keys, unsharded.keys),
                        relative_error(sharded.values, unsharded.values)};
  std::printf("%s on %dx%d, %s, distance from 1x1: prefill %.1e, decode %.1e, last layer's keys %.1e, values %.1e\n",
              folder.c_str(), static_cast<int>(Data), static_cast<int>((Model * ...)), name, errors[0], errors[1],
              errors[2], errors[3]);
  const f64 of_logits = bound > 0 ? bound + rounded_logits : 0;
  CHECK(errors[0] <= of_logits);
  CHECK(errors[1] <= of_logits);
  CHECK(errors[2] <= bound);
  CHECK(errors[3] <= bound);

  using M = typename Loaded<C, Data, Model...>::M;
  const Batch batch(folder);
  const Cost prefill = bill<C, M>(batch.length, segments(batch.lengths), strategy);
  const Cost decode = bill<C, M>(1, segments(std::vector<index_t>(8, 1), batch.lengths), strategy);
  CHECK(sharded.prefill_collectives == prefill.collectives);
  CHECK(sharded.prefill_bytes == prefill.bytes);
  CHECK(sharded.decode_collectives == decode.collectives);
  CHECK(sharded.decode_bytes == decode.bytes);
  CHECK((prefill.bytes > 0) == (M::size > 1));
  return {prefill, decode};
}

/// Under every strategy that the mesh knows; the model's own choice is the one that moves less. With whole weights, no sum
/// over them changes its order.
template <class C, index_t Data, index_t... Model>
void check_mesh(const std::string& folder, f64 bound) {
  const auto run = [&](Strategy strategy, const char* name, f64 limit) {
    return check_strategy<C, Data, Model...>(folder, limit, strategy, name);
  };
  const auto chosen = run(Strategy::by_bill, "by the bill", bound);
  if (Data == 1) return;
  const auto stationary = run(Strategy::stationary, "weights stationary", bound);
  const auto gathered = run(Strategy::gathered, "weights gathered", (Model * ...) == 1 ? 0 : bound);
  for (const std::size_t phase : {std::size_t{0}, std::size_t{1}}) {
    CHECK(stationary[phase].bytes != gathered[phase].bytes);
    CHECK(chosen[phase].bytes == std::min(stationary[phase].bytes, gathered[phase].bytes));
  }
}

}  // namespace tess::test
