// Losses of routing as values: how unevenly experts are used, and how large logits are; each an f32 scalar on any mesh.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <tuple>

#include "../ops/experts.hpp"
#include "../ops/reshape.hpp"
#include "../ops/softmax.hpp"
#include "../tensor/line.hpp"

// Logits f32 [B, T, E] of a router, P<b, None, None>, and its routes; every loss is whole on every device, without the
// factor that a training run gives it. Bytes: an all-reduce of one f32 over b, or of E f32, twice, where f and P of the
// whole batch are multiplied.
namespace tess::nn {

namespace detail {
/// y[e] = how often e stands among the choices of a token.
struct CountChoices {
  template <class Y, class I>
  constexpr void operator()(Line<Y> y, Line<const I> chosen) const {
    for (index_t e = 0; e < y.count; ++e) y[e] = 0;
    for (index_t j = 0; j < chosen.count; ++j)
      if (chosen[j] >= 0 && static_cast<index_t>(chosen[j]) < y.count) y[static_cast<index_t>(chosen[j])] += 1;
  }
  template <class Y, class I>
  constexpr void at(index_t e, Line<Y> y, Line<const I> chosen) const {
    if (e >= y.count) return;
    y[e] = 0;
    for (index_t j = 0; j < chosen.count; ++j) y[e] += static_cast<index_t>(chosen[j]) == e ? Y(1) : Y(0);
  }
};
/// ids i32 [B, T, k] -> f32 like the logits [B, T, E]: 1 where an expert is chosen. A choice of none counts nowhere.
template <class D, AnyTensor Ids, AnyTensor Logits>
constexpr auto chosen(D& dev, const Ids& ids, const Logits& logits) {
  static_assert(tess::detail::map_fact<Ids, Ids>::ok);
  using Y = with_spec<with_type<Logits, f32>, typename Ids::spec>;
  Y y = make<Y>(dev, logits.extents());
  TESS_VERB(dev, map_lines, CountChoices{}, 2, std::tie(y), ids);
  return y;
}
template <class D, AnyTensor Logits>
constexpr auto first_choices(D& dev, const Logits& logits) {
  return chosen(dev, expand_dims<2>(argmax<2>(dev, logits)), logits);
}

/// Σ_e f_e P_e with f and P the means of `chosen` and `scores` over all tokens.
template <class D, AnyTensor Chosen, AnyTensor Scores>
constexpr auto dot_of_means(D& dev, const Chosen& chosen, const Scores& scores) {
  const auto f = reduce(dev, mean<0, 1>(dev, chosen)), p = reduce(dev, mean<0, 1>(dev, scores));  // [E]
  return sum<0>(dev, mul(dev, f, p));
}
/// The same of each row of the batch, and then their mean.
template <class D, AnyTensor Chosen, AnyTensor Scores>
constexpr auto mean_dot_of_rows(D& dev, const Chosen& chosen, const Scores& scores) {
  const auto f = reduce(dev, mean<1>(dev, chosen)), p = reduce(dev, mean<1>(dev, scores));  // [B, E]
  return reduce(dev, mean<0>(dev, sum<1>(dev, mul(dev, f, p))));
}
template <AnyTensor Logits>
constexpr f32 experts_of(const Logits& logits) {
  return static_cast<f32>(logits.extent(2));
}
}  // namespace detail

/// The mean over tokens of (log Σ e^logit)². Source: Zoph et al., arXiv 2202.08906, eq. 5.
template <class D, AnyTensor Logits>
constexpr auto z_loss(D& dev, const Logits& logits) {
  const auto z = logsumexp<2>(dev, logits);  // [B, T]
  return reduce(dev, mean<0, 1>(dev, mul(dev, z, z)));
}

/// E Σ_e f_e P_e: f_e the share of tokens whose largest logit is expert e's, dropped or not, P_e the mean probability.
/// 1 where all are used alike. Source: Fedus et al., arXiv 2101.03961, eq. 4 to 6.
template <class D, AnyTensor Logits>
constexpr auto switch_loss(D& dev, const Logits& logits) {
  const auto loss = detail::dot_of_means(dev, detail::first_choices(dev, logits), softmax(dev, logits));
  return mul(dev, loss, detail::experts_of(logits));
}

/// E Σ_e f_e P_e with all k choices counted in f: k where all experts are used alike. The form of Mixtral's and Qwen's
/// published training code. Source: transformers, modeling_mixtral.py, load_balancing_loss_func.
template <class D, AnyTensor Logits, class R>
constexpr auto load_balancing_loss(D& dev, const Logits& logits, const R& routes) {
  const auto chosen = detail::chosen(dev, routes.experts, logits);
  return mul(dev, detail::dot_of_means(dev, chosen, softmax(dev, logits)), detail::experts_of(logits));
}

/// 1/E Σ_e (c_e / S) m_e of each row of S tokens, the mean of all rows: c_e counts first choices, dropped or not, and
/// m_e is the mean gate. Source: Lepikhin et al., arXiv 2006.16668, algorithm 1, line 13.
template <class D, AnyTensor Logits>
constexpr auto gshard_loss(D& dev, const Logits& logits) {
  const auto loss = detail::mean_dot_of_rows(dev, detail::first_choices(dev, logits), softmax(dev, logits));
  return mul(dev, loss, 1 / detail::experts_of(logits));
}

/// Σ_e f_e P_e of each sequence, the mean of all: f_e = E / (k T) times the tokens that chose e, P_e the mean of the
/// sigmoids of a token divided by their sum. 1 where all are used alike.
/// Source: DeepSeek-V3, arXiv 2412.19437, eq. 17 to 20.
template <class D, AnyTensor Logits, class R>
constexpr auto sequence_balance_loss(D& dev, const Logits& logits, const R& routes) {
  const auto s = sigmoid(dev, logits);
  const auto shares = div(dev, s, sum<2>(dev, s, keep_dims));
  const auto loss = detail::mean_dot_of_rows(dev, detail::chosen(dev, routes.experts, logits), shares);
  return mul(dev, loss, detail::experts_of(logits) / static_cast<f32>(routes.experts.extent(2)));
}

}  // namespace tess::nn
