// gather_weights: a parameter made whole along some mesh axes, for as long as somebody holds the result.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "reshard.hpp"

namespace tess {

template <class From, class To>
struct weights_can_only_be_gathered {
  static_assert(
      detail::always_false<From>,
      "[gather] packed weights can be made whole along mesh axes and nothing else: of every dimension keep the "
      "spec's first axes and drop the others");
  static constexpr bool ok = true;
};

namespace detail {
/// Every dimension keeps its first axes, so that a device's part lies within what it will hold.
constexpr bool is_gather(const SpecValue& from, const SpecValue& to) {
  if (from.partial || to.partial || from.rank != to.rank) return false;
  for (int d = 0; d < from.rank; ++d) {
    if (to[d].count > from[d].count) return false;
    for (int i = 0; i < to[d].count; ++i)
      if (to[d][i] != from[d][i]) return false;
  }
  return true;
}
/// w without the axes in `dropped`, and without those that are minor to one of them.
constexpr SpecValue gathered_over(const SpecValue& w, unsigned dropped) {
  SpecValue s = w;
  for (int d = 0; d < s.rank; ++d) {
    s[d] = {};
    for (int i = 0; i < w[d].count && !(dropped >> w[d][i] & 1u); ++i) s[d].push(w[d][i]);
  }
  return s;
}
}  // namespace detail

/// w under the spec To, which lacks some of its axes: P<data, model> -> P<None, model>. Elements keep their type: int8
/// is gathered as int8, and of its scales the rows that are missing. One all-gather; the result is alive like an
/// activation. A packed weight can go nowhere else; any other tensor is resharded.
/// (FSDP: Rajbhandari et al., arXiv 1910.02054; "weight-gathered" in Pope et al., arXiv 2211.05102, section 3.2.3.)
template <AnySpec To, class D, AnyTensor W>
constexpr auto gather_weights(D& dev, const W& w) {
  using M = typename W::mesh;
  if constexpr (!is_packed<typename W::value_type>) {
    return reshard<To>(dev, w);
  } else {
    using Y = with_spec<W, normal_form<To, M, W::rank>>;
    constexpr unsigned trivial = trivial_axes<M>();
    constexpr SpecValue from = W::sharding.without(trivial), to = Y::sharding.without(trivial);
    static_assert(detail::holds_or<(detail::is_gather(from, to)),
                                   weights_can_only_be_gathered<tess::from<typename W::spec>, tess::to<To>>>::ok);
    if constexpr (from == to || !detail::is_gather(from, to)) {
      return Y(w.extents(), w.storage());
    } else {
      Y y = make<Y>(dev, w.extents());
      TESS_VERB(dev, gather_weights, y, w);
      return y;
    }
  }
}

}  // namespace tess
