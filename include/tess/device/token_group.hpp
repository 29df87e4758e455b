// TokenGroup: the tokens of one row of a batch, for routing policies that look at all of them together.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <span>

#include "../tensor/dtype.hpp"

namespace tess {

/// Of T tokens: E logits each, and room for k choices each. The row is the group, so that no mesh changes what becomes
/// of a token, nor another row. What pads a row counts as a token.
struct TokenGroup {
  index_t number;  // of the row in the whole batch
  index_t tokens;
  std::span<const f32> all_logits;  // [T, E]
  std::span<i32> all_experts;       // [T, k]
  std::span<f32> all_weights;       // [T, k]

  constexpr index_t experts() const { return static_cast<index_t>(all_logits.size()) / tokens; }
  constexpr index_t choices() const { return static_cast<index_t>(all_experts.size()) / tokens; }
  constexpr std::span<const f32> logits(index_t token) const { return row(all_logits, token); }
  constexpr std::span<i32> chosen(index_t token) const { return row(all_experts, token); }
  constexpr std::span<f32> weights(index_t token) const { return row(all_weights, token); }

 private:
  template <class T>
  constexpr std::span<T> row(std::span<T> all, index_t token) const {
    const std::size_t length = all.size() / static_cast<std::size_t>(tokens);
    return all.subspan(static_cast<std::size_t>(token) * length, length);
  }
};

/// In a route, a choice of no expert: dropped, or on another device. No row is made for it, and nothing is added.
inline constexpr i32 no_expert = -1;

}  // namespace tess
