// one_hot: class numbers as rows of zeros with a single one.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <tuple>

#include "../core/error.hpp"
#include "../tensor/line.hpp"
#include "reshape.hpp"

namespace tess {

namespace detail {
struct OneHot {
  template <class Y, class I>
  constexpr void operator()(Line<Y> y, Line<const I> id) const {
    for (index_t i = 0; i < y.count; ++i) at(i, y, id);
  }
  template <class Y, class I>
  constexpr void at(index_t i, Line<Y> y, Line<const I> id) const {
    y[i] = Y(i == static_cast<index_t>(id[0]) ? 1.0f : 0.0f);
  }
};
template <class X, index_t Classes>
struct one_hot_plan {
  static constexpr SpecValue value = rules::insert(X::sharding, X::rank);
  static constexpr rules::ShapeValue shape = [] {
    rules::ShapeValue s = rules::shape_value<typename X::shape>;
    s.push(Classes);
    return s;
  }();
};
}  // namespace detail

/// ids i32 [I...] P<i...> -> T [I..., Classes] P<i..., None>; a row is zero for an id outside [0, Classes), as in
/// jax.nn.one_hot. Refused on a pending value: a sum of ids is no id.
template <index_t Classes, class T = f32, class D, AnyTensor Ids>
constexpr auto one_hot(D& dev, const Ids& ids) {
  using fact = detail::along_fact<operations::one_hot, Ids, detail::kept_plan<Ids, 0, rules::Acts::decides>>;
  static_assert(fact::ok);
  using Whole = with_spec<Ids, spec_type<typename Ids::mesh, detail::kept_plan<Ids, 0, rules::Acts::decides>>>;
  using R = detail::planned_tensor<Whole, detail::one_hot_plan<Whole, Classes>, T>;
  if constexpr (!std::is_same_v<fact, nothing_wrong>) {
    return R{};
  } else {
    std::array<index_t, static_cast<std::size_t>(R::rank)> all{};
    for (int d = 0; d < Ids::rank; ++d) all[static_cast<std::size_t>(d)] = ids.extent(d);
    all.back() = Classes;
    R y = make<R>(dev, Extents<typename R::shape>::from(all));
    const auto columns = expand_dims<Ids::rank>(ids);
    TESS_VERB(dev, map_lines, detail::OneHot{}, Ids::rank, std::tie(y), columns);
    return y;
  }
}

}  // namespace tess
