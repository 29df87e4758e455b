// Every stage of a golden folder on one mesh against the float64 truth: the check that several tests make, one a file.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <doctest/doctest.h>

#include "support/grok1_model.hpp"
#include "support/grok1_truth.hpp"

namespace tess::test {

/// What our errors are allowed: in units of the reference's own.
struct Bounds {
  f64 stage, logits, mean;  // of each stage, of the logits, geometric mean over all
};

/// Nothing is rounded but the embeddings of the head and the logits, to bf16, as the reference does: thirty times nearer to the truth.
/// The law asks for 1.05.
inline constexpr Bounds unrounded{.stage = 0.05, .logits = 0.65, .mean = 0.05};

/// The same without int8 weights: no rounding is left but that of f32, and the logits.
inline constexpr Bounds unrounded_f32{.stage = 1e-3, .logits = 0.65, .mean = 0.65};

/// Keys and values rounded to bf16, as the cache holds them. The reference rounds them too (and everything else), so both errors
/// are of one size, but of independent signs: ours is smaller on the whole, not at each of a hundred and fifty stages.
inline constexpr Bounds rounded_cache{.stage = 1.2, .logits = 1.05, .mean = 1.0};

/// Every stage is as near to the truth as `bounds` say, and the stages are those of the model itself.
/// The truth in the file took the reference's experts, so they are forced; ours agrees with it to the last digits.
template <class C, index_t Data, index_t Model>
void check_stages(const std::string& folder, const std::string& what, const Bounds& bounds) {
  const Golden golden(folder);
  Loaded<C, Data, Model> grok(grok_folder(folder));
  std::vector<i32> experts;
  if constexpr (C::value.model.is_moe()) grok.force(experts = golden.ints("forward/experts"));
  const Stages truth = Truth(grok_folder(folder), C::value)(golden, experts);
  for (const auto& [stage, values] : truth)
    if (golden.has("truth/stage/" + stage))
      CHECK_MESSAGE(golden.error_where_kept(values, "truth/stage/" + stage) < 1e-12, stage);
  CHECK(golden.error_where_kept(truth.at("logits"), "truth/logits") < 1e-12);

  ErrorTable table(folder + ", mesh " + std::to_string(Data) + "x" + std::to_string(Model) + ", " + what);
  const auto rows = segments(golden.lengths);
  auto memory = grok.model.init_memory(grok.dev, golden.batch, golden.length);
  const Values logits = grok.trace(golden.tokens, memory, rows, [&](const std::string& stage, const Values& ours) {
    if (!golden.has("error/" + stage)) return;
    const f64 reference = golden.reference_error(stage);
    if (reference == 0) CHECK(golden.error(ours, truth.at(stage)) == 0);  // the embeddings
    else CHECK_MESSAGE(table.add(stage, golden.error(ours, truth.at(stage)), reference) <= bounds.stage, stage);
  });
  CHECK(table.add("logits", golden.error(logits, truth.at("logits")),
                  golden.error(golden["forward/logits"], truth.at("logits"))) <= bounds.logits);
  CHECK(table.mean() <= bounds.mean);

  auto fresh = grok.model.init_memory(grok.dev, golden.batch, golden.length);
  grok.strategy = Strategy::stationary;  // as the stages were computed
  CHECK(grok.template operator()<grok1::Positions::all>(golden.tokens, fresh, rows) == logits);  // bit for bit
}

}  // namespace tess::test
