// sort, argsort, top_k, cumsum: functions of whole lines; and the forms for a sharded dimension, each with its bill.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <numeric>
#include <type_traits>
#include <vector>

#include "../core/error.hpp"
#include "reshard.hpp"
#include "roll.hpp"

namespace tess {

template <class K, class Dim, class Extent>
struct fewer_elements_than_k {
  static_assert(
      detail::always_false<K>,
      "[top_k] the k largest are taken of at least k elements, and of a sharded dimension at least k lie on every "
      "device: gather<> it first, or use fewer shards");
  static constexpr bool ok = true;
};
template <int>
struct largest;

namespace detail {

/// Ascending, NaN behind all numbers, as jax.numpy.sort.
struct Below {
  template <class T>
  constexpr bool operator()(const T& a, const T& b) const {
    return a < b || (b != b && a == a);
  }
};
/// Where the k largest stand, the largest first, of equal ones the first first.
template <class T>
std::vector<i32> places_of_largest(Line<const T> x, index_t k) {
  std::vector<i32> places(static_cast<std::size_t>(x.count));
  std::iota(places.begin(), places.end(), 0);
  std::partial_sort(places.begin(), places.begin() + k, places.end(),
                    [&](i32 a, i32 b) { return Below{}(x[b], x[a]) || (!Below{}(x[a], x[b]) && a < b); });
  return places;
}
/// How many elements of the line stand before element i in ascending order, equal ones in theirs: its place, found without
/// any other's.
template <class T>
constexpr index_t place_ascending(Line<const T> x, index_t i) {
  const T own = x[i];
  index_t before = 0;
  for (index_t j = 0; j < x.count; ++j) before += Below{}(x[j], own) || (j < i && !Below{}(own, x[j]));
  return before;
}
/// The same, the largest first.
template <class T>
constexpr index_t place_descending(Line<const T> x, index_t i) {
  const T own = x[i];
  index_t before = 0;
  for (index_t j = 0; j < x.count; ++j) before += Below{}(own, x[j]) || (j < i && !Below{}(x[j], own));
  return before;
}
struct Sort {
  template <class T>
  void operator()(Line<T> y, Line<const T> x) const {
    std::copy(x.begin(), x.end(), y.begin());
    std::stable_sort(y.begin(), y.end(), Below{});
  }
  template <class T>
  constexpr void at(index_t i, Line<T> y, Line<const T> x) const {
    y[place_ascending(x, i)] = x[i];
  }
};
struct ArgSort {
  template <class T>
  void operator()(Line<i32> y, Line<const T> x) const {
    std::iota(y.begin(), y.end(), 0);
    std::stable_sort(y.begin(), y.end(), [&](i32 a, i32 b) { return Below{}(x[a], x[b]); });
  }
  template <class T>
  constexpr void at(index_t i, Line<i32> y, Line<const T> x) const {
    y[place_ascending(x, i)] = static_cast<i32>(i);
  }
};
/// Indices count along the whole dimension.
struct TopOfLine {
  template <class T>
  void operator()(Line<T> values, Line<i32> indices, Line<const T> x) const {
    const auto places = places_of_largest(x, values.count);
    for (index_t i = 0; i < values.count; ++i) {
      const i32 at = places[static_cast<std::size_t>(i)];
      values[i] = x[at];
      indices[i] = static_cast<i32>(x.first) + at;
    }
  }
  template <class T>
  constexpr void at(index_t i, Line<T> values, Line<i32> indices, Line<const T> x) const {
    const index_t place = place_descending(x, i);
    if (place >= values.count) return;
    values[place] = x[i];
    indices[place] = static_cast<i32>(x.first + i);
  }
};
/// The same among candidates that bring their indices with them.
struct TopOfCandidates {
  template <class T>
  void operator()(Line<T> values, Line<i32> indices, Line<const T> x, Line<const i32> index_of) const {
    const auto places = places_of_largest(x, values.count);
    for (index_t i = 0; i < values.count; ++i) {
      const i32 at = places[static_cast<std::size_t>(i)];
      values[i] = x[at];
      indices[i] = index_of[at];
    }
  }
  template <class T>
  constexpr void at(index_t i, Line<T> values, Line<i32> indices, Line<const T> x, Line<const i32> index_of) const {
    const index_t place = place_descending(x, i);
    if (place >= values.count) return;
    values[place] = x[i];
    indices[place] = index_of[i];
  }
};
/// bf16 adds in f32.
template <class T>
using running = std::conditional_t<std::is_same_v<T, bf16>, f32, T>;
struct CumSum {
  template <class T>
  constexpr void operator()(Line<T> y, Line<const T> x) const {
    running<T> sum{};
    for (index_t i = 0; i < x.count; ++i) y[i] = T(sum += static_cast<running<T>>(x[i]));
  }
};
struct SumOfLine {
  template <class T>
  constexpr void operator()(Line<running<T>> y, Line<const T> x) const {
    y[0] = {};
    for (index_t i = 0; i < x.count; ++i) y[0] += static_cast<running<T>>(x[i]);
  }
};
/// Behind the totals of the shards before this one.
struct CumSumBehind {
  template <class T>
  constexpr void operator()(Line<T> y, Line<const T> x, Line<const running<T>> totals) const {
    running<T> sum{};
    for (index_t s = 0; s < (x.count ? x.first / x.count : 0); ++s) sum += totals[s];
    for (index_t i = 0; i < x.count; ++i) y[i] = T(sum += static_cast<running<T>>(x[i]));
  }
};

template <class Op, int Dim, class Y, rules::Acts A, class F, class D, class X>
constexpr auto along_lines(D& dev, F f, const X& x) {
  using fact = one_dim_fact<Op, X, Dim, A>;
  static_assert(fact::ok);
  if constexpr (!has_dim<X>(Dim)) {
    return with_type<X, Y>{};
  } else {
    using R = planned_tensor<X, kept_plan<X, 1u << Dim, A>, Y>;
    if constexpr (!std::is_same_v<fact, nothing_wrong>) {
      return R{};
    } else {
      R y = make<R>(dev, x.extents());
      TESS_VERB(dev, map_lines, f, Dim, std::tie(y), x);
      return y;
    }
  }
}
}  // namespace detail

/// Ascending along dimension Dim, which must be whole; NaN last; stable. Refused on a pending value.
template <int Dim, class D, AnyTensor X>
constexpr auto sort(D& dev, const X& x) {
  return detail::along_lines<operations::sort, Dim, typename X::value_type, rules::Acts::decides>(dev, detail::Sort{},
                                                                                                  x);
}
/// i32: y[i] is where the i-th smallest of the line stands. Stable.
template <int Dim, class D, AnyTensor X>
constexpr auto argsort(D& dev, const X& x) {
  return detail::along_lines<operations::argsort, Dim, i32, rules::Acts::decides>(dev, detail::ArgSort{}, x);
}
/// y[i] = x[0] + ... + x[i] along dimension Dim, which must be whole. Linear: a pending sum stays pending. bf16 adds in
/// f32.
template <int Dim, class D, AnyTensor X>
constexpr auto cumsum(D& dev, const X& x) {
  return detail::along_lines<operations::cumsum, Dim, typename X::value_type, rules::Acts::adds>(dev, detail::CumSum{},
                                                                                                 x);
}

/// The k largest along a dimension, best first, and their indices (i32) in it; of equal ones the first come first.
template <AnyTensor Values, AnyTensor Indices>
struct TopK {
  Values values;
  Indices indices;
};

namespace detail {
template <class X, int Dim, int K, index_t Shards>
constexpr auto top_k_fact_of() {
  if constexpr (!has_dim<X>(Dim)) {
    return std::type_identity<dim_error<operations::top_k, X, Dim>>{};
  } else {
    constexpr index_t n = static_extent<typename X::shape>(Dim);
    if constexpr (K < 1 || (n != dyn && n / Shards < K))
      return std::type_identity<fewer_elements_than_k<largest<K>, dim<Dim>, extent<n>>>{};
    else if constexpr (Shards > 1) return along_fact_of<operations::top_k, X, kept_plan<X, 0, rules::Acts::decides>>();
    else return along_fact_of<operations::top_k, X, kept_plan<X, 1u << Dim, rules::Acts::decides>>();
  }
}
/// X with K elements for each shard of dimension Dim, sharded as before.
template <class X, int Dim, int K, bool Whole>
struct candidates_plan {
  static constexpr index_t shards = Whole ? 1 : parts<typename X::mesh>(X::sharding[Dim]);
  static constexpr SpecValue value = kept_plan<X, (Whole ? 1u << Dim : 0u), rules::Acts::decides>::value;
  static constexpr rules::ShapeValue shape = only_dim<X, Dim>(shards * K);
};
template <int Dim, int K, bool Whole, class D, class X>
constexpr auto top_of_lines(D& dev, const X& x) {
  using Rule = candidates_plan<X, Dim, K, Whole>;
  using V = planned_tensor<X, Rule>;
  using I = planned_tensor<X, Rule, i32>;
  TopK<V, I> top{make<V>(dev, resized<V>(x.extents(), Dim, Rule::shards * K)),
                 make<I>(dev, resized<I>(x.extents(), Dim, Rule::shards * K))};
  TESS_VERB(dev, map_lines, TopOfLine{}, Dim, std::tie(top.values, top.indices), x);
  return top;
}
template <class X, int Dim, int K>
using top_of_whole =
    TopK<planned_tensor<X, candidates_plan<X, Dim, K, true>>, planned_tensor<X, candidates_plan<X, Dim, K, true>, i32>>;
}  // namespace detail

/// The K largest along dimension Dim, which must be whole: [..., N, ...] -> [..., K, ...]. NaN counts as the largest.
/// Refused on a pending value. Throws Error where only run time tells that there are fewer than K.
template <int Dim, int K, class D, AnyTensor X>
constexpr auto top_k(D& dev, const X& x) {
  using fact = typename decltype(detail::top_k_fact_of<X, Dim, K, 1>())::type;
  static_assert(fact::ok);
  if constexpr (!detail::has_dim<X>(Dim)) {
    return TopK<X, with_type<X, i32>>{};
  } else if constexpr (!std::is_same_v<fact, nothing_wrong>) {
    return detail::top_of_whole<X, Dim, K>{};
  } else {
    if (x.extent(Dim) < K)
      fail("[top_k] fewer_elements_than_k: ", K, " of dimension ", Dim, " of extent ", x.extent(Dim));
    return detail::top_of_lines<Dim, K, true>(dev, x);
  }
}

/// The same for a sharded dimension, as a composition: every device finds its own K, these candidates are gathered (K
/// values and K indices of each of n devices, instead of N), and the K best of them are the result, Dim whole. Two
/// all-gathers: K · (n - 1) elements and as many i32 a line.
template <int Dim, int K, class D, AnyTensor X>
constexpr auto top_k_sharded(D& dev, const X& x) {
  static_assert(detail::dim_error<operations::top_k, X, Dim>::ok);
  if constexpr (!detail::has_dim<X>(Dim)) {
    return TopK<X, with_type<X, i32>>{};
  } else {
    constexpr index_t shards = parts<typename X::mesh>(X::sharding[Dim]);
    if constexpr (shards == 1) {
      return top_k<Dim, K>(dev, x);
    } else {
      using fact = typename decltype(detail::top_k_fact_of<X, Dim, K, shards>())::type;
      static_assert(fact::ok);
      using R = detail::top_of_whole<X, Dim, K>;
      if constexpr (!std::is_same_v<fact, nothing_wrong>) {
        return R{};
      } else {
        if (x.local_extent(Dim) < K)
          fail("[top_k] fewer_elements_than_k: ", K, " of ", x.local_extent(Dim), " elements of a shard");
        const auto own = detail::top_of_lines<Dim, K, false>(dev, x);
        const auto values = gather<Dim>(dev, own.values);
        const auto indices = gather<Dim>(dev, own.indices);
        using V = decltype(R::values);
        using I = decltype(R::indices);
        R top{make<V>(dev, detail::resized<V>(x.extents(), Dim, K)),
              make<I>(dev, detail::resized<I>(x.extents(), Dim, K))};
        TESS_VERB(dev, map_lines, detail::TopOfCandidates{}, Dim, std::tie(top.values, top.indices), values, indices);
        return top;
      }
    }
  }
}

namespace detail {
/// One total for each shard.
template <class X, int Dim>
struct totals_plan {
  static constexpr SpecValue value = X::sharding;
  static constexpr rules::ShapeValue shape = only_dim<X, Dim>(parts<typename X::mesh>(X::sharding[Dim]));
};
}  // namespace detail

/// cumsum along a sharded dimension, which stays sharded, as a composition: the totals of the shards are gathered, one
/// element a device and line, and every device adds those before it. One all-gather of n - 1 elements a line.
template <int Dim, class D, AnyTensor X>
constexpr auto cumsum_sharded(D& dev, const X& x) {
  static_assert(detail::dim_error<operations::cumsum, X, Dim>::ok);
  if constexpr (!detail::has_dim<X>(Dim)) {
    return x;
  } else {
    constexpr index_t shards = parts<typename X::mesh>(X::sharding[Dim]);
    using fact = detail::along_fact<operations::cumsum, X, detail::kept_plan<X, 0, rules::Acts::adds>>;
    static_assert(fact::ok);
    if constexpr (!std::is_same_v<fact, nothing_wrong>) {
      return x;
    } else if constexpr (shards == 1) {
      return cumsum<Dim>(dev, x);
    } else {
      using Totals = detail::planned_tensor<X, detail::totals_plan<X, Dim>, detail::running<typename X::value_type>>;
      Totals own = make<Totals>(dev, detail::resized<Totals>(x.extents(), Dim, shards));
      TESS_VERB(dev, map_lines, detail::SumOfLine{}, Dim, std::tie(own), x);
      const auto totals = gather<Dim>(dev, own);
      X y = make<X>(dev, x.extents());
      TESS_VERB(dev, map_lines, detail::CumSumBehind{}, Dim, std::tie(y), x, totals);
      return y;
    }
  }
}

}  // namespace tess
