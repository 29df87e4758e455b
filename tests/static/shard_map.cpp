// Inside shard_map: how blocks vary, what operations and collectives make of it, and which promises types prove.
// SPDX-License-Identifier: Apache-2.0
#include <tess/ops/shard_map.hpp>

#include <concepts>

namespace {

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;

template <class V, class L = Shape<4, 8>, class T = f32>
using B = Block<T, L, M, V, Dry>;
template <class X, class V>
concept is = std::same_as<typename X::varying, V>;

// A spec says how blocks vary: along the axes that shard a dimension. Pending and reduced axes stay so.
static_assert(std::same_as<varying_of<P<data, None>, M, 2>, Varying<data>>);
static_assert(std::same_as<varying_of<P<None, Axes<model, data>>, M, 2>, Varying<data, model>>);
static_assert(std::same_as<varying_of<P<data, Partial<model>>, M, 2>, Varying<data, Partial<model>>>);
static_assert(std::same_as<varying_of<P<Reduced<data>>, M, 2>, Varying<Reduced<data>>>);

// [quote:meet]
// Operands meet axis by axis.  I·V → V   I·R → R   R·V → V   V·V → V
template <class X, class Y>
using sum_of = decltype(std::declval<X>() + std::declval<Y>());
static_assert(is<sum_of<B<Varying<>>, B<Varying<>>>, Varying<>>);
static_assert(is<sum_of<B<Varying<>>, B<Varying<data>>>, Varying<data>>);
static_assert(is<sum_of<B<Varying<model>>, B<Varying<data>>>, Varying<data, model>>);
static_assert(is<sum_of<B<Varying<>>, B<Varying<Reduced<data>>>>, Varying<Reduced<data>>>);
static_assert(is<sum_of<B<Varying<data>>, B<Varying<Reduced<data>>>>, Varying<data>>);
// P + P → P   P · R → P   P · I → P   P · number → P
static_assert(is<sum_of<B<Varying<Partial<data>>>, B<Varying<Partial<data>>>>, Varying<Partial<data>>>);
template <class X, class Y>
using product_of = decltype(std::declval<X>() * std::declval<Y>());
static_assert(is<product_of<B<Varying<Partial<data>>>, B<Varying<Reduced<data>>>>, Varying<Partial<data>>>);
static_assert(is<product_of<B<Varying<Partial<data>>>, B<Varying<>>>, Varying<Partial<data>>>);
static_assert(is<product_of<int, B<Varying<Partial<data>>>>, Varying<Partial<data>>>);
// [/quote]

// Collectives, for an axis:                                      V → I
static_assert(is<decltype(psum<data>(std::declval<B<Varying<data, model>>>())), Varying<model>>);
static_assert(is<decltype(psum<data>(std::declval<B<Varying<Partial<data>>>>())), Varying<>>);
static_assert(is<decltype(all_gather<0, data>(std::declval<B<Varying<data>>>())), Varying<data>>);
static_assert(is<decltype(all_gather_invariant<0, data>(std::declval<B<Varying<data>>>())), Varying<>>);
static_assert(is<decltype(all_gather_reduced<0, data>(std::declval<B<Varying<data>>>())), Varying<Reduced<data>>>);
static_assert(is<decltype(psum_scatter<0, data>(std::declval<B<Varying<data>>>())), Varying<data>>);
static_assert(is<decltype(own_part<0, data>(std::declval<B<Varying<>>>())), Varying<data>>);
static_assert(is<decltype(pbroadcast<data, 1>(std::declval<B<Varying<data>>>())), Varying<>>);
static_assert(is<decltype(pvary<data>(std::declval<B<Varying<>>>())), Varying<data>>);
static_assert(is<decltype(preduced<data>(std::declval<B<Varying<>>>())), Varying<Reduced<data>>>);
static_assert(is<decltype(ppartial<data>(std::declval<B<Varying<data>>>())), Varying<Partial<data>>>);
static_assert(is<decltype(axis_index<data, model>(std::declval<B<Varying<>>>())), Varying<data, model>>);

// … and shapes: a gather multiplies a dimension, a scatter divides it.
template <class X, class L>
concept has_shape = std::same_as<typename X::shape, L>;
static_assert(has_shape<decltype(all_gather<1, model>(std::declval<B<Varying<model>>>())), Shape<4, 32>>);
static_assert(has_shape<decltype(psum_scatter<1, model>(std::declval<B<Varying<model>>>())), Shape<4, 2>>);
static_assert(has_shape<decltype(all_to_all<0, 1, model>(std::declval<B<Varying<model>>>())), Shape<1, 32>>);
static_assert(has_shape<decltype(sum<0>(std::declval<B<Varying<model>>>())), Shape<8>>);
static_assert(
    has_shape<decltype(matmul(std::declval<B<Varying<>>>(), std::declval<B<Varying<>, Shape<8, 3>>>())), Shape<4, 3>>);

// ---- promises, asked of Judge: which rule would this shard_map break?

template <class S, class Spec>
using J = ShardedTensor<f32, S, M, Spec, Judge>;
template <class In, class Out, class Body, class... X>
concept fine = std::same_as<shard_map_fact<In, Out, Body, X...>, nothing_wrong>;
using Same = decltype([](auto x) { return x; });
using Total = decltype([](auto x) { return psum<data>(x); });
using X = J<Shape<8, 8>, P<data>>;

static_assert(fine<In<P<data>>, Out<P<data>>, Same, X> && !fine<In<P<data>>, Out<P<>>, Same, X>);
static_assert(fine<In<P<data>>, Out<P<>>, Total, X> && fine<In<P<data>>, Out<P<None, model>>, Total, X>);

// An axis of size 1 keeps every promise: the same program runs on a mesh that does not use it.
using Alone = Mesh<Axis<data, 1>, Axis<model, 4>>;
using A = ShardedTensor<f32, Shape<8, 8>, Alone, P<data>, Judge>;
static_assert(fine<In<P<data>>, Out<P<>>, Same, A> && fine<In<P<data>>, Out<P<>>, Total, A>);

// A choice that varies makes what is chosen vary, also where JAX says it does not.
using Choice = decltype([](auto x) {
  return cond(
      axis_index<model>(x) == 0, [](auto y) { return y; }, [](auto y) { return y; }, x);
});
static_assert(!fine<In<P<data>>, Out<P<data>>, Choice, X> && fine<In<P<data>>, Out<P<data, model>>, Choice, X>);
static_assert(std::same_as<shard_map_fact<In<P<data>>, Out<P<data>>, Choice, X>,
                           copies_may_differ<result<0>, over<model>, Varying<data, model>, spec<P<data>>>>);
// A carry that starts equal and does not stay so is widened, not refused.
using Widened = decltype([](auto x) {
  return std::get<0>(fori_loop(
      0, 3, [](auto, auto c, auto b) { return carry(c + b, b); }, full<Shape<4, 8>>(x, 0.0f), x));
});
static_assert(fine<In<P<data>>, Out<P<data>>, Widened, X> && !fine<In<P<data>>, Out<P<>>, Widened, X>);
// Collectives under a choice: along other axes than those over which it varies.
using Along = decltype([](auto x) {
  return cond(
      sum(x) > 0, [](auto y) { return psum<model>(y); }, [](auto y) { return pmax<model>(y); },
      x + axis_index<model>(x));
});
using Across = decltype([](auto x) {
  return cond(
      sum(x) > 0, [](auto y) { return psum<data>(y); }, [](auto y) { return y; }, x);
});
static_assert(fine<In<P<data>>, Out<P<data>>, Along, X> && !fine<In<P<data>>, Out<P<data>>, Across, X>);

// The largest of sums is not the sum of the largest, along whichever axis the sums are pending.
using Largest = decltype([](auto x) { return pmax<model>(x + axis_index<model>(x) * 0); });
using LargestPending = decltype([](auto x) { return pmax<model>(ppartial<data>(x)); });
static_assert(fine<In<P<data>>, Out<P<data>>, Largest, X> &&
              !fine<In<P<data>>, Out<P<Partial<data>>>, LargestPending, X>);
// Addends of one sum are chosen alike on all devices.
using Alike = decltype([](auto x) { return where(axis_index<model>(x) == 0, ppartial<data>(x), ppartial<data>(-x)); });
using Unlike = decltype([](auto x) { return where(axis_index<data>(x) == 0, ppartial<data>(x), ppartial<data>(-x)); });
static_assert(fine<In<P<data>>, Out<P<None, model, Partial<data>>>, Alike, X> &&
              !fine<In<P<data>>, Out<P<None, model, Partial<data>>>, Unlike, X>);

}  // namespace
