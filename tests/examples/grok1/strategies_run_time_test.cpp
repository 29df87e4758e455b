// A model whose sizes only its checkpoint knows, under both strategies: the counters are the bill, scales included.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "grok1/mesh_bill.hpp"
#include "support/golden_mesh.hpp"

using namespace tess::test;
using namespace tess;

namespace {

struct C : grok1::RunTimeSizes<true, true> {
  using cache_type = f32;  // a bf16 cache would round the strategies' differences up in every layer
};
using M = Mesh<Axis<grok1::data, 2>, Axis<grok1::model, 2>>;
using Tokens = Extents<Shape<dyn, dyn>>;

/// Eight prompts whose routes have no tie within our error; in decode the first token of each.
struct Input {
  explicit Input(bool prefill) {
    const Batch batch("moe12");
    width = prefill ? batch.length : 1;
    const std::vector<index_t> counts = prefill ? batch.lengths : std::vector<index_t>(batch.lengths.size(), 1);
    rows = segments(counts);
    for (std::size_t b = 0; b < counts.size(); ++b)
      for (index_t t = 0; t < width; ++t)
        ids.push_back(batch.prompts[b * static_cast<std::size_t>(batch.length) + static_cast<std::size_t>(t)]);
  }
  std::vector<i32> ids;  // [8, width]
  std::vector<Segment> rows;
  index_t width = 0;
};

/// What a pass moves on the device, and the logits.
struct Run {
  Values logits;
  index_t collectives = 0, bytes = 0;
};
Run on_host(Strategy strategy, const Input& in) {
  Host dev;
  grok1::LanguageModel<C, M, Host> model(Moe12::value);
  grok1::load_checkpoint(dev, model, grok_folder("moe12"));
  auto memory = model.init_memory(dev, 8, 48);
  const auto ids = make<typename grok1::Types<C, M, Host>::Tokens>(dev, Tokens{index_t{8}, in.width});
  for (index_t r = 0; r < M::size; ++r) std::copy(in.ids.begin(), in.ids.end(), ids.storage().data(r));
  Run run;
  run.logits = whole(pass(model, dev, ids, memory, view(in.rows), strategy));
  run.collectives = dev.traffic().collectives, run.bytes = dev.traffic().most_bytes();
  return run;
}
Cost on_dry(Strategy strategy, const Input& in) {
  Dry dev;
  grok1::LanguageModel<C, M, Dry> model(Moe12::value);
  grok1::detail::declare_parameters(model, grok1::leaves(Moe12::value));
  auto memory = model.init_memory(dev, 8, 48);
  const auto ids = make<typename grok1::Types<C, M, Dry>::Tokens>(dev, Tokens{index_t{8}, in.width});
  (void)pass(model, dev, ids, memory, view(in.rows), strategy);
  return dev.cost;
}

}  // namespace

TEST_CASE("moe12 with run-time sizes on 2x2: the counters equal the bill, the choice is the cheaper one") {
  for (const bool prefill : {false, true}) {
    CAPTURE(prefill);
    const Input in(prefill);
    const Run stationary = on_host(Strategy::stationary, in), gathered = on_host(Strategy::gathered, in),
              chosen = on_host(Strategy::by_bill, in);
    for (const auto& [run, strategy] :
         {std::pair{stationary, Strategy::stationary}, std::pair{gathered, Strategy::gathered},
          std::pair{chosen, Strategy::by_bill}}) {
      const Cost bill = on_dry(strategy, in);
      CHECK(run.collectives == bill.collectives);
      CHECK(run.bytes == bill.bytes);
    }
    CHECK(chosen.bytes == std::min(stationary.bytes, gathered.bytes));
    CHECK(chosen.logits == (prefill ? gathered : stationary).logits);
    CHECK(relative_error(gathered.logits, stationary.logits) < 2 * (two_int8_terms + rounded_logits));
  }
}
