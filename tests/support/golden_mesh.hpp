// A model on a mesh against the same model unsharded, and the bytes that really moved against the bill.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <doctest/doctest.h>

#include <tess/device/dry.hpp>

#include "support/golden_decode.hpp"

namespace tess::test {

/// Eight ragged rows and a decode step for each: more than enough for every mesh of eight devices.
struct Batch {
  Golden golden{"dense_f32_2x4"};
  std::vector<i32> next = golden.ints("decode/tokens");

  std::vector<i32> step(std::size_t t) const { return column(next, golden.batch, t); }
};

/// What a run leaves: logits of the prompt and of a step, keys and values of the last layer.
struct Outcome {
  Values prefill, decode, keys, values;
  index_t prefill_collectives = 0, prefill_bytes = 0, decode_collectives = 0, decode_bytes = 0;
};

template <class C, index_t Data, index_t Model>
Outcome outcome(const std::string& folder) {
  const Batch batch;
  Loaded<C, Data, Model> grok(grok_folder(folder));
  Generation<C, Data, Model> run(grok, batch.golden.batch);
  Outcome o;
  grok.dev.reset_traffic();
  o.prefill = run.feed(batch.golden.tokens, batch.golden.lengths);
  o.prefill_collectives = grok.dev.traffic().collectives, o.prefill_bytes = grok.dev.traffic().most_bytes();
  grok.dev.reset_traffic();
  o.decode = run.step(batch.step(0));
  o.decode_collectives = grok.dev.traffic().collectives, o.decode_bytes = grok.dev.traffic().most_bytes();
  o.keys = run.keys(run.layers - 1), o.values = run.values(run.layers - 1);
  return o;
}

/// The same program on the device that stores nothing.
template <class C, class M>
Cost bill(index_t tokens, const std::vector<Segment>& rows) {
  Dry dev;
  const grok1::LanguageModel<C, M, Dry> model;
  const auto batch = static_cast<index_t>(rows.size());
  auto memory = model.init_memory(dev, batch, C::value.sequence_len);
  const auto ids = make<typename grok1::Types<C, M, Dry>::Tokens>(dev, Extents<Shape<dyn, dyn>>{batch, tokens});
  (void)model(dev, ids, memory, view(rows));
  return dev.cost;
}

inline constexpr f64 reordered_sums = 1e-2;

/// ‖sharded − unsharded‖ / ‖unsharded‖ <= bound for logits and caches, and traffic equal to the bill, to the byte.
template <class C, index_t Data, index_t Model>
void check_mesh(const std::string& folder, f64 bound) {
  static const Outcome unsharded = outcome<C, 1, 1>(folder);
  const Outcome sharded = outcome<C, Data, Model>(folder);
  const f64 errors[] = {relative_error(sharded.prefill, unsharded.prefill), relative_error(sharded.decode, unsharded.decode),
                        relative_error(sharded.keys, unsharded.keys), relative_error(sharded.values, unsharded.values)};
  std::printf("%s on %dx%d, distance from 1x1: prefill %.1e, decode %.1e, last layer's keys %.1e, values %.1e\n", folder.c_str(),
              static_cast<int>(Data), static_cast<int>(Model), errors[0], errors[1], errors[2], errors[3]);
  for (const f64 error : errors) CHECK(error <= bound);

  using M = typename Loaded<C, Data, Model>::M;
  const Batch batch;
  const Cost prefill = bill<C, M>(batch.golden.length, segments(batch.golden.lengths));
  const Cost decode = bill<C, M>(1, segments(std::vector<index_t>(8, 1), batch.golden.lengths));
  CHECK(sharded.prefill_collectives == prefill.collectives);
  CHECK(sharded.prefill_bytes == prefill.bytes);
  CHECK(sharded.decode_collectives == decode.collectives);
  CHECK(sharded.decode_bytes == decode.bytes);
  CHECK((prefill.bytes > 0) == (M::size > 1));
}

}  // namespace tess::test
