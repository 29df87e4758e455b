// The vocabulary of every error: labels for the facts that stand in the name of a broken rule.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <type_traits>

#include "types.hpp"

namespace tess {

// A rule decides quietly (a constexpr verdict that never fails by itself) and is reported once: a struct whose name is
// the sentence and whose arguments are facts, e.g.
//   dimension_does_not_divide<dim<1>, extent<6144>, over<model>, into<5>, sizes_that_work<6140, 6145>, …>
// Its static_assert holds the rule and the remedy; `ok` is true in every struct, so that nothing is said twice.

template <index_t>
struct dim;
template <index_t>
struct extent;
template <index_t>
struct into;
template <index_t...>
struct sizes_that_work;
template <index_t...>
struct shards_that_work;
template <class...>
struct over;
template <class>
struct lhs;
template <class>
struct rhs;
template <class>
struct from;
template <class>
struct to;
template <class>
struct spec;
template <class>
struct shape;
template <class>
struct on_mesh;
template <class>
struct device;
template <class>
struct verb;

struct nothing_wrong {
  static constexpr bool ok = true;
};

namespace detail {
/// `static_assert(holds_or<condition, the_error<facts...>>::ok)`: names the error without instantiating it while all is
/// well.
template <bool Holds, class Error>
using holds_or = std::conditional_t<Holds, nothing_wrong, Error>;
}  // namespace detail

}  // namespace tess
