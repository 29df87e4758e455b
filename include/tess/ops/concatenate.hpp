// concatenate, stack, tile, repeat: tensors put together, and copies of one.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../core/error.hpp"
#include "../sharding/rules/concatenate.hpp"
#include "along.hpp"
#include "reshape.hpp"
#include "reshard.hpp"

namespace tess {

template <class First, class Other>
struct joined_tensors_are_sharded_differently {
  static_assert(
      detail::always_false<First>,
      "[concatenate] beside the joined dimension tensors are sharded alike, or one finer than the other, and no axis "
      "shards two dimensions: reshard<> one to the spec of the other");
  static constexpr bool ok = true;
};
template <class First, class Other>
struct joined_tensors_are_pending_differently {
  static_assert(
      detail::always_false<First>,
      "[concatenate] tensors are pending over the same axes and of the same kind (and marked Reduced alike), or none "
      "is: reduce() the one that is pending");
  static constexpr bool ok = true;
};
template <class Dim, class First, class Other>
struct joined_tensors_have_different_extents {
  static_assert(detail::always_false<Dim>,
                "[concatenate] tensors have one rank, and equal extents beside the joined dimension");
  static constexpr bool ok = true;
};
template <class First, class Other>
struct joined_tensors_are_of_different_kinds {
  static_assert(detail::always_false<First>, "[concatenate] tensors live on one mesh and have one element type");
  static constexpr bool ok = true;
};

namespace detail {

template <int Dim, class X, class O>
constexpr int differing_extent() {
  if (X::rank != O::rank) return 0;
  for (int d = 0; d < X::rank; ++d) {
    const index_t a = static_extent<typename X::shape>(d), b = static_extent<typename O::shape>(d);
    if (d != Dim && a != b && a != dyn && b != dyn) return d;
  }
  return -1;
}
template <int Dim, class X, class... Others>
constexpr rules::ConcatenateVerdict concatenate_verdict() {
  const SpecValue all[] = {X::sharding, Others::sharding...};
  return rules::concatenate(mesh_value<typename X::mesh>, all, 1 + static_cast<int>(sizeof...(Others)), Dim);
}
template <int Dim, class X, class... Others>
constexpr rules::ShapeValue concatenate_shape() {
  const rules::ShapeValue all[] = {rules::shape_value<typename X::shape>,
                                   rules::shape_value<typename Others::shape>...};
  rules::ShapeValue s = all[0];
  for (std::size_t i = 1; i <= sizeof...(Others); ++i)
    for (int d = 0; d < s.rank; ++d) {
      if (d == Dim) s[d] = s[d] == dyn || all[i][d] == dyn ? dyn : s[d] + all[i][d];
      else if (s[d] == dyn) s[d] = all[i][d];
    }
  return s;
}
template <int Dim, class... X>
struct concatenate_plan {
  static constexpr rules::ConcatenateVerdict verdict = concatenate_verdict<Dim, X...>();
  static constexpr SpecValue value = verdict.result;
  static constexpr rules::ShapeValue shape = concatenate_shape<Dim, X...>();
};
template <class X, class O>
constexpr bool same_kind() {
  return std::is_same_v<typename X::mesh, typename O::mesh> &&
         std::is_same_v<typename X::value_type, typename O::value_type>;
}

/// The first tensor that cannot be joined to X whatever its sharding; 0: none.
template <int Dim, class X, class... Others>
constexpr int odd_one() {
  const bool fits[] = {true, (same_kind<X, Others>() && differing_extent<Dim, X, Others>() < 0)...};
  for (int i = 1; i <= static_cast<int>(sizeof...(Others)); ++i)
    if (!fits[i]) return i;
  return 0;
}

template <class Op, int Dim, class X, class... Others>
constexpr auto concatenate_fact_of() {
  constexpr int odd = odd_one<Dim, X, Others...>();
  using Odd = nth_t<odd, X, Others...>;
  if constexpr (!has_dim<X>(Dim)) {
    return std::type_identity<dim_error<Op, X, Dim>>{};
  } else if constexpr (!same_kind<X, Odd>()) {
    return std::type_identity<joined_tensors_are_of_different_kinds<lhs<X>, rhs<Odd>>>{};
  } else if constexpr (odd > 0) {
    return std::type_identity<joined_tensors_have_different_extents<
        dim<differing_extent<Dim, X, Odd>()>, lhs<typename X::shape>, rhs<typename Odd::shape>>>{};
  } else {
    using rules::ConcatenateFault;
    constexpr rules::ConcatenateVerdict v = concatenate_plan<Dim, X, Others...>::verdict;
    using Other = nth_t<v.operand, X, Others...>;
    if constexpr (v.fault == ConcatenateFault::sharded)
      return along_fact_of<Op, Other, kept_plan<Other, 1u << Dim, rules::Acts::moves>>();
    else if constexpr (v.fault == ConcatenateFault::pending_differently ||
                       v.fault == ConcatenateFault::marked_differently)
      return std::type_identity<
          joined_tensors_are_pending_differently<lhs<typename X::spec>, rhs<typename Other::spec>>>{};
    else if constexpr (v.fault != ConcatenateFault::none)
      return std::type_identity<
          joined_tensors_are_sharded_differently<lhs<typename X::spec>, rhs<typename Other::spec>>>{};
    else return std::type_identity<nothing_wrong>{};
  }
}

/// x as it lies, or its own slices, from position `at` of dimension Dim of y on.
template <int Dim, class D, class Y, class X>
constexpr void paste(D& dev, Y& y, const X& x, index_t& at) {
  for (int d = 0; d < X::rank; ++d)
    if (d != Dim && x.extent(d) != y.extent(d))
      fail("[concatenate] joined_tensors_have_different_extents: ", y.extent(d), " and ", x.extent(d), " in dimension ",
           d);
  const auto part = reshard<typename Y::spec>(dev, x);
  const auto box = [&](index_t) {
    StridedCopy b;
    b.to = at * local_stride(y, Dim);
    for (int d = 0; d < X::rank; ++d) b.push(part.local_extent(d), local_stride(part, d), local_stride(y, d));
    return b;
  };
  TESS_VERB(dev, copy, y, part, box);
  at += x.extent(Dim);
}
template <class Op, int Dim, class D, class X, class... Others>
constexpr auto concatenated(D& dev, const X& x, const Others&... others) {
  using fact = typename decltype(concatenate_fact_of<Op, Dim, X, Others...>())::type;
  static_assert(fact::ok);
  if constexpr (!std::is_same_v<fact, nothing_wrong> || sizeof...(Others) == 0) {
    return x;
  } else {
    using R = planned_tensor<X, concatenate_plan<Dim, X, Others...>>;
    R y = make<R>(dev, resized<R>(x.extents(), Dim, x.extent(Dim) + (others.extent(Dim) + ...)));
    index_t at = 0;
    paste<Dim>(dev, y, x, at);
    (paste<Dim>(dev, y, others, at), ...);
    return y;
  }
}
}  // namespace detail

/// One tensor behind the other along dimension Dim, which must be whole in each. Beside it the finer sharding wins, and
/// the others are sliced for free: [A, N] P<a>, [B, N] P<> ... at dimension 1 -> P<a>. Pending values over the same
/// axes stay pending; beside a finished one they are refused (JAX 0.12 reduces `stack` of two pending sums twice).
template <int Dim, class D, AnyTensor X, AnyTensor... Others>
constexpr auto concatenate(D& dev, const X& x, const Others&... others) {
  return detail::concatenated<operations::concatenate, Dim>(dev, x, others...);
}

/// n tensors [A, B] -> [A, n, B], n at dimension Dim, which is new and not sharded.
template <int Dim, class D, AnyTensor X, AnyTensor... Others>
constexpr auto stack(D& dev, const X& x, const Others&... others) {
  constexpr bool fits = Dim >= 0 && Dim <= X::rank;
  static_assert(
      detail::holds_or<
          fits, tensor_has_no_such_dimension<operation<operations::stack>, dim<Dim>, shape<typename X::shape>>>::ok);
  if constexpr (!fits) return x;
  else return detail::concatenated<operations::stack, Dim>(dev, expand_dims<Dim>(x), expand_dims<Dim>(others)...);
}

/// N copies of x one behind the other along dimension Dim, which must be whole.
template <int Dim, index_t N, class D, AnyTensor X>
constexpr auto tile(D& dev, const X& x) {
  static_assert(N >= 1, "[tile] at least one copy");
  static_assert(detail::dim_error<operations::tile, X, Dim>::ok);
  if constexpr (!detail::has_dim<X>(Dim) || N == 1) {
    return x;
  } else {
    constexpr index_t n = detail::static_extent<typename X::shape>(Dim);
    using Rule = detail::resized_plan<X, Dim, (n == dyn ? dyn : n * N), 1u << Dim, rules::Acts::moves>;
    using fact = detail::along_fact<operations::tile, X, Rule>;
    static_assert(fact::ok);
    using R = detail::planned_tensor<X, Rule>;
    if constexpr (!std::is_same_v<fact, nothing_wrong>) {
      return R{};
    } else {
      R y = make<R>(dev, detail::resized<R>(x.extents(), Dim, x.extent(Dim) * N));
      const auto box = [&](index_t) {
        StridedCopy b;
        for (int d = 0; d < X::rank; ++d) {
          if (d == Dim) b.push(N, 0, x.local_extent(d) * detail::local_stride(x, d));
          b.push(x.local_extent(d), detail::local_stride(x, d), detail::local_stride(y, d));
        }
        return b;
      };
      TESS_VERB(dev, copy, y, x, box);
      return y;
    }
  }
}

/// Every element N times, one behind the other, along dimension Dim. Copies stay where their element is, so that Dim
/// may be sharded: [A] P<a> -> [A * N] P<a>. (Key/value heads for groups of query heads.)
template <int Dim, index_t N, class D, AnyTensor X>
constexpr auto repeat(D& dev, const X& x) {
  static_assert(N >= 1, "[repeat] at least one copy");
  static_assert(detail::dim_error<operations::repeat, X, Dim>::ok);
  if constexpr (!detail::has_dim<X>(Dim) || N == 1) {
    return x;
  } else {
    constexpr index_t n = detail::static_extent<typename X::shape>(Dim);
    using R = detail::planned_tensor<X, detail::resized_plan<X, Dim, (n == dyn ? dyn : n * N), 0, rules::Acts::moves>>;
    R y = make<R>(dev, detail::resized<R>(x.extents(), Dim, x.extent(Dim) * N));
    const auto box = [&](index_t) {
      StridedCopy b;
      for (int d = 0; d < X::rank; ++d) {
        b.push(x.local_extent(d), detail::local_stride(x, d), detail::local_stride(y, d) * (d == Dim ? N : 1));
        if (d == Dim) b.push(N, 0, detail::local_stride(y, d));
      }
      return b;
    };
    TESS_VERB(dev, copy, y, x, box);
    return y;
  }
}

}  // namespace tess
