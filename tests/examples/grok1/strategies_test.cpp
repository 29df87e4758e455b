// Which strategy Grok-1 takes in a pass: what its configuration says for the phase, or what the bill of that pass says.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <vector>

#include "grok1/mesh_bill.hpp"

using namespace tess;
using grok1::index_t;

namespace {

template <index_t Data, index_t Model>
using Grid = Mesh<Axis<grok1::data, Data>, Axis<grok1::model, Model>>;
using Sixteen = Grid<2, 8>;  // two rows of eight devices

/// A pass over `batch` rows that hold `start` tokens and get `tokens` more.
struct Pass {
  index_t batch = 2, tokens = 1, start = 0;
};

/// f(model, device, tokens, memory, rows) on the device that stores nothing.
template <class C, class M, class F>
auto on_pass(const grok1::LanguageModel<C, M, Dry>& model, const Pass& p, F f) {
  Dry dev;
  auto memory = model.init_memory(dev, p.batch, 8192);
  const auto ids = make<typename grok1::Types<C, M, Dry>::Tokens>(dev, Extents<Shape<dyn, dyn>>{p.batch, p.tokens});
  std::vector<Segment> rows;
  for (index_t b = 0; b < p.batch; ++b) rows.push_back({b, p.start, p.tokens});
  return f(model, dev, ids, memory, Segments(rows.data(), p.batch));
}
template <class C, class M>
bool gathers(const Pass& p, const grok1::LanguageModel<C, M, Dry>& model = {}) {
  return on_pass(model, p, [](auto& grok, auto&, auto& ids, auto& memory, Segments rows) {
    return grok.gathers(ids, memory, rows);
  });
}
template <class How>
index_t bytes(index_t tokens) {
  const grok1::LanguageModel<grok1::Grok1Config, Sixteen, Dry> model;
  return on_pass(model, {2, tokens, 0}, [](auto& grok, auto& dev, auto& ids, auto& memory, Segments rows) {
    (void)grok.pass(dev, ids, memory, rows, How{});
    return dev.cost.bytes;
  });
}

/// A configuration that leaves nothing to the bill.
struct Decided : grok1::Grok1Config {
  using prefill = nn::WeightStationary;
  using decode = nn::Gathered;
};

}  // namespace

// [quote:by_bill]
TEST_CASE("the bill decides by the tokens of a pass: two long prompts, or thousands of rows that decode together") {
  using C = grok1::Grok1Config;
  CHECK(!gathers<C, Sixteen>({2, 1, 100}));
  CHECK(!gathers<C, Sixteen>({2, 1024, 0}));
  CHECK(gathers<C, Sixteen>({2, 4096, 0}));
  CHECK(gathers<C, Sixteen>({4096, 1, 100}));
}
// [/quote]

TEST_CASE("a configuration may say it for each phase") {
  CHECK(gathers<Decided, Sixteen>({2, 1, 100}));
  CHECK(!gathers<Decided, Sixteen>({2, 4096, 0}));
}

TEST_CASE("a model whose sizes are known at run time chooses as the one whose sizes are in its type") {
  using C = grok1::RunTimeSizes<true, true>;
  grok1::LanguageModel<C, Sixteen, Dry> model(grok1::grok_1);
  grok1::detail::declare_parameters(model, grok1::leaves(grok1::grok_1));
  for (const index_t tokens : {1, 1024, 1536, 1792, 2048, 4096}) {
    CAPTURE(tokens);
    CHECK(gathers<C, Sixteen>({2, tokens, 0}, model) == gathers<grok1::Grok1Config, Sixteen>({2, tokens, 0}));
  }
}

TEST_CASE("the sums over the whole model, as docs/explanation/strategies.md gives them, in GB") {
  const auto costs = [](index_t tokens, f64 stationary, f64 gathered) {
    CAPTURE(tokens);
    CHECK(static_cast<f64>(bytes<nn::WeightStationary>(tokens)) / 1e9 == doctest::Approx(stationary).epsilon(0.01));
    CHECK(static_cast<f64>(bytes<nn::Gathered>(tokens)) / 1e9 == doctest::Approx(gathered).epsilon(0.01));
  };
  costs(1, 0.0166, 19.7);
  costs(1024, 15.5, 25.3);
  costs(4096, 62.0, 42.3);
}

TEST_CASE("gathered, a pass moves every weight once and less for each token; stationary, it moves no weight") {
  // The bytes of a pass are affine in its tokens; the head, which sees one token a row, is the same under both.
  const index_t stationary = bytes<nn::WeightStationary>(2048) - bytes<nn::WeightStationary>(1024),
                gathered = bytes<nn::Gathered>(2048) - bytes<nn::Gathered>(1024);
  CHECK(2 * gathered < stationary);
  const index_t head = bytes<nn::WeightStationary>(1024) - stationary;
  const index_t weights = bytes<nn::Gathered>(1024) - gathered - head;

  // A device has a sixteenth of every weight and ends with an eighth. Of scales it lacks those of the columns that
  // come.
  constexpr index_t layers = 64, emb = 6144, experts = 8;
  constexpr index_t int8 = 4'919'918'592 / 16, scales = (1 + experts) * (emb / 2) * 2, router = emb / 2 * experts * 4;
  CHECK(weights == layers * (int8 + scales + router));
}
