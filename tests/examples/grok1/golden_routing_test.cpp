// The router: the reference's experts wherever its margin exceeds its noise; and mutations that must fail.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <utility>

#include "support/grok1_model.hpp"
#include "support/grok1_truth.hpp"

using namespace tess::test;
using tess::index_t, tess::i32, tess::f32;

namespace {

/// In every layer the two experts of every token, after the reference's choices in the layers before it: so one tie does not make the
/// rest incomparable. Decided is a choice whose margin in float64 is over twice the reference's largest error so far at this token.
template <class C>
void check_routes(const std::string& folder) {
  const Golden golden(folder);
  const std::vector<i32> experts = golden.ints("forward/experts");
  const Stages exact = Truth(grok_folder(folder), C::value)(golden, experts);
  constexpr std::size_t X = C::value.model.num_experts, top = C::value.model.num_selected_experts;
  Loaded<Variant<C, Forced>, 1, 1> grok(grok_folder(folder));
  grok.force(experts);
  auto memory = grok.model.init_memory(grok.dev, golden.batch, golden.length);
  std::vector<double> noise(golden.tokens.size());
  std::size_t layer = 0, decided = 0, undecided = 0;
  (void)grok.trace(
      golden.tokens, memory, segments(golden.lengths), [&](const std::string& stage, const Values& logits) {
        if (!stage.ends_with("router/logits")) return;
        const std::string probabilities = stage.substr(0, stage.size() - 6) + "probs";
        const Values reference = golden["forward/stage/" + probabilities];
        const Values& truth = exact.at(probabilities);
        for (std::size_t t = 0; t < golden.tokens.size(); ++t) {
          if (golden.tokens[t] == 0) continue;
          for (std::size_t e = t * X; e < (t + 1) * X; ++e)
            noise[t] = std::max(noise[t], std::abs(reference[e] - truth[e]));
          Values sorted(truth.begin() + static_cast<std::ptrdiff_t>(t * X),
                        truth.begin() + static_cast<std::ptrdiff_t>((t + 1) * X));
          std::sort(sorted.begin(), sorted.end(), std::greater<>());
          const bool clear = sorted[top - 1] - sorted[top] > 2 * noise[t];
          ++(clear ? decided : undecided);
          if (!clear) continue;

          std::vector<f32> row(logits.begin() + static_cast<std::ptrdiff_t>(t * X),
                               logits.begin() + static_cast<std::ptrdiff_t>((t + 1) * X));
          std::vector<i32> ours(top),
              theirs(experts.begin() + static_cast<std::ptrdiff_t>((layer * golden.tokens.size() + t) * top),
                     experts.begin() + static_cast<std::ptrdiff_t>((layer * golden.tokens.size() + t + 1) * top));
          std::vector<f32> weights(top);
          tess::nn::SoftmaxTopK<>{}(row, ours, weights);
          std::sort(ours.begin(),
                    ours.end());  // as a set: best and second may be a tie where second and third are none
          std::sort(theirs.begin(), theirs.end());
          CHECK_MESSAGE(ours == theirs, stage << " token " << t);
        }
        ++layer;
      });
  std::printf("%s: %zu routes decided by more than the reference's noise, all equal; %zu within it\n", folder.c_str(),
              decided, undecided);
  CHECK(layer == static_cast<std::size_t>(C::value.model.num_layers));
  CHECK(decided > 10 * undecided);
}

/// With the reference's experts against the truth that takes them too, and with our own against the truth with its own: the largest
/// logit is the truth's wherever its margin is over twice the reference's largest error, and in all about as often as the reference's.
template <class C>
void check_argmax(const std::string& folder) {
  const Golden golden(folder);
  constexpr std::size_t V = C::value.vocab_size;
  const std::vector<i32> experts = golden.ints("forward/experts");
  const Values reference = golden["forward/logits"];
  const auto compare = [&](auto& grok, const Values& truth, const char* whose) {
    auto memory = grok.model.init_memory(grok.dev, golden.batch, golden.length);
    const Values ours =
        grok.template operator()<grok1::Positions::all>(golden.tokens, memory, segments(golden.lengths));
    std::size_t agree = 0, reference_agrees = 0, all = 0;
    for (std::size_t t = 0; t < golden.tokens.size(); ++t) {
      if (golden.tokens[t] == 0) continue;
      const std::size_t best = argmax(truth, t * V, V), found = argmax(ours, t * V, V);
      double noise = 0;
      for (std::size_t v = t * V; v < (t + 1) * V; ++v) noise = std::max(noise, std::abs(reference[v] - truth[v]));
      CHECK_MESSAGE(truth[t * V + best] - truth[t * V + found] <= 2 * noise, whose << " experts, token " << t);
      ++all, agree += found == best, reference_agrees += argmax(reference, t * V, V) == best;
    }
    std::printf("%s, %s experts: argmax as the truth's at %zu of %zu tokens, the reference's at %zu\n", folder.c_str(),
                whose, agree, all, reference_agrees);
    CHECK(agree + 1 >= reference_agrees);  // one tie more or less: both round their logits to bf16
  };
  Loaded<Variant<C, Forced>, 1, 1> forced(grok_folder(folder));
  forced.force(experts);
  const Truth truth(grok_folder(folder), C::value);
  compare(forced, truth(golden, experts).at("logits"), "the reference's");
  Loaded<C, 1, 1> free(grok_folder(folder));
  compare(free, truth(golden).at("logits"), "their own");
}

/// moe2 in float64, with the reference's experts.
const Stages& moe2_truth() {
  static const Golden golden("moe2");
  static const Stages truth = Truth(grok_folder("moe2"), Moe2::value)(golden, golden.ints("forward/experts"));
  return truth;
}

/// moe2 with something wrong with it: the error of its logits in units of the reference's.
template <class Change>
double error_with(Change change) {
  const Golden golden("moe2");
  Loaded<Moe2, 1, 1> grok(grok_folder("moe2"));
  change(grok.model);
  auto memory = grok.model.init_memory(grok.dev, golden.batch, golden.length);
  const Values ours = grok.template operator()<grok1::Positions::all>(golden.tokens, memory, segments(golden.lengths));
  const Values& truth = moe2_truth().at("logits");
  return golden.error(ours, truth) / golden.error(golden["forward/logits"], truth);
}

}  // namespace

TEST_CASE("moe12: routed experts are the reference's") { check_routes<Moe12>("moe12"); }
TEST_CASE("moe2: routed experts are the reference's") { check_routes<Moe2>("moe2"); }

TEST_CASE("argmax agrees with the truth, teacher-forced, as often as the reference's") {
  check_argmax<Moe12>("moe12");
  check_argmax<Moe2>("moe2");
}

TEST_CASE("what is wrong is seen") {
  CHECK(error_with([](auto&) {}) < 1.05);
  // gate and up exchanged: GELU on the wrong one
  CHECK(error_with([](auto& model) {
          for (auto& layer : model.transformer.layers.blocks)
            std::swap(layer.feed_forward.experts.gate, layer.feed_forward.experts.up);
        }) > 10);
  // a multiplier that its rounding to bf16 changes by one unit: 78.5 to 78
  CHECK(error_with([](auto& model) { model.config.embedding_multiplier_scale = 78.0; }) > 1.05);
  // no cap on scores, two norms exchanged, another base of the rotation
  CHECK(error_with([](auto& model) {
          for (auto& layer : model.transformer.layers.blocks) layer.attention.options.cap = 0;
        }) > 1.05);
  CHECK(error_with([](auto& model) {
          for (auto& layer : model.transformer.layers.blocks) std::swap(layer.norm_1, layer.norm_3);
        }) > 10);
  CHECK(error_with([](auto& model) {
          for (auto& layer : model.transformer.layers.blocks) layer.attention.rotary.base = 100000;
        }) > 10);
}

TEST_CASE("expert weights that are divided by their sum are seen behind the experts, and nowhere else") {
  // The norm that follows takes out any factor of a token: no later stage could tell.
  const Golden golden("moe2");
  const auto errors = [&]<class Routing>(Routing) {
    Loaded<Variant<Moe2, Routing>, 1, 1> grok(grok_folder("moe2"));
    auto memory = grok.model.init_memory(grok.dev, golden.batch, golden.length);
    double moe = 0;
    const Values logits = grok.trace(golden.tokens, memory, segments(golden.lengths),
                                     [&](const std::string& stage, const Values& values) {
                                       if (stage.ends_with("0/moe")) moe = golden.error(values, moe2_truth().at(stage));
                                     });
    return std::pair(moe, golden.error(logits, moe2_truth().at("logits")));
  };
  const auto right = errors(tess::nn::SoftmaxTopK<>{}), wrong = errors(tess::nn::SoftmaxTopK<true>{});
  CHECK(right.first < 0.01);
  CHECK(wrong.first > 0.1);
  CHECK(wrong.second == doctest::Approx(right.second).epsilon(0.1));
}
