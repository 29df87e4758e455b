// sample: tokens drawn where the logits are, so that a few bytes of each row come to the host instead of all of it.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <span>
#include <vector>

#include "../../sharding/device_slice.hpp"
#include "base.hpp"
#include "sampler.hpp"

namespace tess::cuda {

/// `Self` is the device: it has `places`, `gpu_of`, `needs_host`.
template <class Self>
class SampleVerbs {
 public:
  /// logits f32 [B, 1, V], whole along V on each device that holds the row -> one output for each order, as
  /// generate::Sampler gives it: the same tokens, probabilities to an ulp of bfloat16. Waits for the GPUs once each. Throws
  /// Error for settings out of range, or logits that are not finite.
  template <AnyTensor Logits>
  std::vector<generate::SampleOutput> sample(const Logits& logits, std::span<const generate::SampleOrder> orders) {
    static_assert(Logits::rank == 3 && std::is_same_v<typename Logits::value_type, f32> &&
                      parts<typename Logits::mesh>(Logits::sharding[2]) == 1 && Logits::sharding.partial == 0,
                  "[generate] logits are f32 [B, 1, V], whole along the vocabulary");
    self().needs_host();
    const index_t V = logits.extent(2), rows = logits.local_extent(0);
    if (V == 0) fail("sampler: no logits");
    for (const auto& order : orders) generate::detail::check_settings(order.settings);
    std::vector<generate::SampleOutput> outputs(orders.size());
    for (index_t g = 0; g < self().gpu_count(); ++g) {
      std::vector<Draw> draws;
      std::vector<std::size_t> of;
      for (std::size_t i = 0; i < orders.size(); ++i) {
        const index_t rank = rank_with<Logits>(orders[i].row / rows);
        if (&self().gpu_of(rank, Logits::mesh::size) != &self().gpu(g)) continue;
        const f32* row = logits.storage().data(rank) + orders[i].row % rows * V;
        draws.push_back(draw_of(row, orders[i].settings, orders[i].key));
        of.push_back(i);
      }
      const auto drawn = draw_tokens(self().gpu(g), draws, V);
      for (std::size_t k = 0; k < drawn.size(); ++k) outputs[of[k]] = output_of(drawn[k], orders[of[k]].settings);
    }
    return outputs;
  }

 private:
  Self& self() { return static_cast<Self&>(*this); }

  /// The first rank that holds this part of the rows and lives here.
  template <AnyTensor Logits>
  index_t rank_with(index_t part) {
    using M = typename Logits::mesh;
    for (index_t r = 0; r < M::size; ++r)
      if (self().places().is_here(r) && shard_index<M>(Logits::sharding[0], r) == part) return r;
    fail("[generate] the logits of a row lie in another process: gather<> them over the axes of the rows");
  }
  static generate::SampleOutput output_of(const Drawn& d, const generate::SampleSettings& settings) {
    if (d.not_finite != INT_MAX) generate::detail::fail_not_finite(d.not_finite);
    if (settings.temperature > 0 && d.overflowing != INT_MAX) generate::detail::fail_too_cold(settings);
    generate::SampleOutput out;
    out.token_id = d.token;
    out.prob = d.probability;
    std::copy(std::begin(d.top_tokens), std::end(d.top_tokens), out.top_k_token_ids.begin());
    std::copy(std::begin(d.top_probabilities), std::end(d.top_probabilities), out.top_k_probs.begin());
    return out;
  }
};

}  // namespace tess::cuda
