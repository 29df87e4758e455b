// Products: dimensions with one label meet where they lie, summed ones leave a pending sum, and lookups are products.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/ops/einsum.hpp>
#include <tess/ops/reshard.hpp>
#include <tess/ops/scatter_add.hpp>

#include "support/whole.hpp"

using namespace support;

namespace {

struct data;
struct model;
template <index_t A, index_t B>
using Grid = Mesh<Axis<data, A>, Axis<model, B>>;

template <class M, class Spec, class S, class T = f32>
using X = ShardedTensor<T, S, M, Spec, Host>;
template <class Y, class Spec>
constexpr bool lies = std::is_same_v<typename std::remove_cvref_t<Y>::spec, Spec>;

using Rows = Shape<12, 24>;     // x [m, k]
using Weights = Shape<24, 12>;  // w [k, n]
constexpr auto multiply = [](auto& dev, const auto& x, const auto& w) {
  return einsum<Labels<'m', 'k'>, Labels<'k', 'n'>, Labels<'m', 'n'>>(dev, x, w);
};
/// "mk,kn->mn" of operands that lie so: the result lies as said, has the values of one device, and no byte moved.
template <class M, class PX, class PW, class PY>
void product(Host& dev) {
  const auto y = check_local(dev, multiply, pair<X<M, PX, Rows>>(dev, 1), pair<X<M, PW, Weights>>(dev, 2));
  CHECK(lies<decltype(y), PY>);
}

}  // namespace

TEST_CASE_TEMPLATE("data and tensor parallelism are two specs of one product", M, Grid<2, 2>, Grid<2, 3>) {
  Host dev(1);
  product<M, P<data>, P<>, P<data, None>>(dev);                              // rows of x: data parallel
  product<M, P<>, P<None, model>, P<None, model>>(dev);                      // columns of w: column parallel
  product<M, P<data>, P<None, model>, P<data, model>>(dev);                  // both
  product<M, P<None, model>, P<model>, P<None, None, Partial<model>>>(dev);  // what is summed: row parallel
  product<M, P<data, model>, P<model>, P<data, None, Partial<model>>>(dev);
}

TEST_CASE_TEMPLATE(
    "a summed dimension that is sharded in one operand slices the other: where JAX gathers, nothing moves", M,
    Grid<2, 2>, Grid<1, 4>) {
  Host dev(1);
  product<M, P<data, model>, P<>, P<data, None, Partial<model>>>(dev);
  product<M, P<>, P<model, data>, P<None, data, Partial<model>>>(dev);
  product<M, P<None, data>, P<Axes<data, model>>, P<None, None, Partial<data, model>>>(dev);
}

TEST_CASE("weights sharded over the axis of the batch (FSDP) are gathered in the source, and the bill says so") {
  Host dev(1);
  using M = Grid<2, 2>;
  const auto fsdp = [](auto& d, const auto& x, const auto& w) { return multiply(d, x, gather<0>(d, w)); };
  const auto x = pair<X<M, P<data>, Rows>>(dev, 1);
  const auto w = pair<X<M, P<data>, Weights>>(dev, 2);
  check_equals_whole(dev, fsdp, x, w);
  CHECK(dev.traffic().collectives == 1);
  CHECK(dev.traffic().most_bytes() == 12 * 12 * 4);  // the other half of w
}

TEST_CASE_TEMPLATE("Megatron's pair: columns, then rows, and one sum at the end", M, Grid<2, 2>, Grid<2, 3>) {
  Host dev(1);
  const auto pair_of_layers = [](auto& d, const auto& x, const auto& up, const auto& down) {
    return reduce(d, multiply(d, multiply(d, x, up), down));
  };
  const auto x = pair<X<M, P<data>, Rows>>(dev, 1);
  const auto y = check_equals_whole(dev, pair_of_layers, x, pair<X<M, P<None, model>, Weights>>(dev, 2),
                                    pair<X<M, P<model>, Rows>>(dev, 3));
  CHECK(lies<decltype(y), P<data, None>>);
}

TEST_CASE_TEMPLATE("batch dimensions: alike, or sharded in one operand", M, Grid<2, 2>, Grid<1, 4>) {
  Host dev(1);
  using Heads = Shape<2, 3, 4, 6>;  // [b, t, h, d]
  const auto scores = [](auto& d, const auto& q, const auto& k) {
    return einsum<Labels<'b', 't', 'h', 'd'>, Labels<'b', 'T', 'h', 'd'>, Labels<'b', 'h', 't', 'T'>>(d, q, k);
  };
  const auto q = pair<X<M, P<data, None, model>, Heads>>(dev, 1);
  const auto y = check_local(dev, scores, q, pair<X<M, P<data, None, model>, Heads>>(dev, 2));
  const auto z = check_local(dev, scores, q, pair<X<M, P<>, Heads>>(dev, 3));
  CHECK(lies<decltype(y), P<data, model, None, None>>);
  CHECK(lies<decltype(z), P<data, model, None, None>>);
}

TEST_CASE_TEMPLATE("a product is linear: a pending sum times what is finished stays a pending sum", M, Grid<2, 2>,
                   Grid<2, 3>) {
  Host dev(1);
  product<M, P<Partial<data>>, P<None, model>, P<None, model, Partial<data>>>(dev);
  product<M, P<None, model, Partial<data>>, P<model>, P<None, None, Partial<data, model>>>(dev);
  product<M, P<>, P<Partial<model>>, P<None, None, Partial<model>>>(dev);
  product<M, P<Partial<data>>, P<Partial<model>>, P<None, None, Partial<data, model>>>(
      dev);  // every product of addends
}

TEST_CASE_TEMPLATE("a lookup: spread rows leave a sum, spread columns column shards, spread ids rows of the result", M,
                   Grid<2, 2>, Grid<2, 3>) {
  Host dev(1);
  using Table = Shape<12, 6>;
  const std::vector<i32> ids = {3, 0, 11, 3, 7, 5};
  const auto look_up = [&](auto table_spec, auto id_spec, auto result_spec) {
    const auto table = pair<X<M, decltype(table_spec), Table>>(dev, 1);
    const Pair<X<M, decltype(id_spec), Shape<6>, i32>> id{tensor<X<M, decltype(id_spec), Shape<6>, i32>>(dev, {}, ids),
                                                          tensor<X<OneDevice, P<>, Shape<6>, i32>>(dev, {}, ids)};
    const auto y = check_local(
        dev, [](auto& d, const auto& t, const auto& i) { return take(d, t, i); }, table, id);
    CHECK(lies<decltype(y), decltype(result_spec)>);
  };
  look_up(P<model>{}, P<>{}, P<None, None, Partial<model>>{});
  look_up(P<None, model>{}, P<data>{}, P<data, model>{});
  look_up(P<model>{}, P<data>{}, P<data, None, Partial<model>>{});
  look_up(P<model, data>{}, P<>{}, P<None, data, Partial<model>>{});
}

TEST_CASE("backwards: the gradient of a lookup, sharded as the table is, leaves the tokens' axes pending") {
  Host dev(1);
  using M = Grid<2, 3>;
  const std::vector<i32> ids = {3, 0, 11, 3, 7, 5};
  using Ids = X<M, P<data>, Shape<6>, i32>;
  const auto updates = pair<X<M, P<data>, Shape<6, 4>>>(dev, 1);
  const Pair<Ids> id{tensor<Ids>(dev, {}, ids), tensor<Whole<Ids>>(dev, {}, ids)};
  const auto whole = [](auto& d, const auto& i, const auto& u) { return scatter_add<12>(d, i, u); };
  const auto y = check_local(dev, whole, id, updates);
  CHECK(lies<decltype(y), P<None, None, Partial<data>>>);
  const auto spread = scatter_add<12, model>(dev, id.sharded, updates.sharded);
  CHECK(lies<decltype(spread), P<model, None, Partial<data>>>);
  CHECK(elements(spread) == elements(y));
}
