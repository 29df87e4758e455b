// Chapter 2, the spec: how it is written, its normal form, and which specs a mesh and a shape allow.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <type_traits>

#include <tess/sharding/shard_shape.hpp>
#include <tess/sharding/spec_text.hpp>

#include "support/files.hpp"

using namespace tess;

namespace {

struct data;
struct model;
struct expert;
struct pipeline;
using Grid = Mesh<Axis<data, 2>, Axis<model, 4>, Axis<expert, 1>>;

template <class A, class B, int Rank = 2, class M = Grid>
constexpr bool one_type = std::is_same_v<normal_form<A, M, Rank>, normal_form<B, M, Rank>>;

template <class Spec, int Rank, class M = Grid>
std::string text() {
  return spec_text<M>(spec_value<Spec, M, Rank>);
}

}  // namespace

TEST_CASE("a spec is read from the left, and what is missing is None") {
  CHECK(text<P<data>, 3>() == "P(data, None, None)");
  CHECK(one_type<P<data>, P<data, None>>);
  CHECK(one_type<P<>, P<None, None>>);
}

TEST_CASE("a tuple of one axis is that axis, and an empty one is None") {
  CHECK(one_type<P<Axes<data>>, P<data>>);
  CHECK(one_type<P<Axes<>, model>, P<None, model>>);
}

TEST_CASE("as text it has JAX's form, with axes named as they were declared and without their namespaces") {
  CHECK(type_name<data>() == "data");
  CHECK(axis_text<Grid>(1) == "model");
  CHECK(text<P<>, 0>() == "P()");
  CHECK(text<P<None, Axes<model, data>>, 2>() == "P(None, (model, data))");
  CHECK(text<P<data, None, Partial<model>>, 2>() == "P(data, None, Partial(model))");
}

TEST_CASE("in a tuple the first axis is the major one, so order matters") {
  CHECK(!one_type<P<Axes<data, model>>, P<Axes<model, data>>>);
  CHECK(text<P<Axes<model, data>>, 1>() == "P((model, data))");
}

TEST_CASE("behind the dimensions stand the pending and the reduced axes, in the mesh's order") {
  CHECK(one_type<P<Partial<model, data>>, P<None, None, Partial<data, model>>>);
  CHECK(one_type<P<Partial<model>, Partial<data>>, P<None, None, Partial<data, model>>>);
  CHECK(text<P<None, PartialMax<model>>, 1>() == "P(None, PartialMax(model))");
  CHECK(text<P<Reduced<model>, Partial<data>>, 1>() == "P(None, Partial(data), Reduced(model))");
}

TEST_CASE("the normal form of a normal form is itself, and a spec can be read back from it") {
  const auto same = []<class S>(S) {
    using N = normal_form<S, Grid, 2>;
    return std::is_same_v<normal_form<N, Grid, 2>, N> && spec_value<N, Grid, 2> == spec_value<S, Grid, 2>;
  };
  CHECK(same(P<>{}));
  CHECK(same(P<Axes<model, data>>{}));
  CHECK(same(P<expert, Axes<data>, Partial<model>>{}));
  CHECK(same(P<None, model, PartialMin<data>, Reduced<expert>>{}));
}

TEST_CASE("the parts of an axis, one behind the other, are the axis") {
  using M = Mesh<Axis<data, 2>, Axis<model, 8, 2>>;
  using Pairs = Sub<model, 1, 8>;
  using InPair = Sub<model, 8, 2>;
  CHECK(one_type<P<Axes<Pairs, InPair>>, P<model>, 1, M>);
  CHECK(!one_type<P<Axes<InPair, Pairs>>, P<model>, 1, M>);
  CHECK(text<P<Axes<InPair, Pairs>, data>, 2, M>() == "P((model:(8)2, model:(1)8), data)");
  CHECK(std::is_same_v<normal_form<P<Pairs, InPair>, M, 2>, P<Pairs, InPair>>);
}

// [quote:allowed]
TEST_CASE("a shape can be sharded so: each axis once, at most one entry a dimension, everything divides") {
  CHECK(Shardable<Shape<8, 6>, P<model, data>, Grid>);
  CHECK(!Shardable<Shape<8, 6>, P<data, model>, Grid>);                    // 6 over 4
  CHECK(!Shardable<Shape<8, 8>, P<data, data>, Grid>);                     // an axis twice
  CHECK(!Shardable<Shape<8, 8>, P<data, None, Partial<data>>, Grid>);      // … as a shard and as a sum
  CHECK(!Shardable<Shape<8, 8>, P<data, None, Reduced<data>>, Grid>);      // … or as a mark
  CHECK(!Shardable<Shape<8>, P<None, data>, Grid>);                        // longer than the shape
  CHECK(!Shardable<Shape<>, P<None>, Grid>);                               // a scalar's spec is P<>
  CHECK(!Shardable<Shape<8>, P<pipeline>, Grid>);                          // no such axis
  CHECK(!Shardable<Shape<8>, P<Sub<model, 1, 2>>, Grid>);                  // not divided there
  CHECK(!Shardable<Shape<8>, P<Partial<data>, PartialMax<model>>, Grid>);  // a sum or a maximum, not both
}
// [/quote]

TEST_CASE("a size that does not divide comes with the nearest that do, and with the nearest numbers of shards") {
  for (index_t n = 1; n <= 60; ++n)
    for (index_t k = 2; k <= 20; ++k) {
      if (n % k == 0) continue;
      CAPTURE(n);
      CAPTURE(k);
      const detail::Divisible sizes = detail::sizes_near(n, k), shards = detail::shards_near(n, k);
      CHECK(sizes.more % k == 0);
      CHECK(sizes.less % k == 0);
      CHECK(sizes.more > n);
      CHECK(sizes.more - n < k);
      CHECK((sizes.less == sizes.more || (sizes.less > 0 && n - sizes.less < k)));
      for (const index_t s : {shards.less, shards.more}) CHECK(n % s == 0);
      for (index_t s = shards.less + 1; s < shards.more; ++s) CHECK(n % s != 0);  // none between is left out
    }
}

TEST_CASE("sizes of the run time are checked where they become known, with the same facts") {
  const Extents<Shape<dyn, 6>> seven(7), one(1);
  const auto message = [](const auto& extents) {
    return test::error_of([&] { local_extents<P<model>, Grid>(extents); });
  };
  CHECK(message(seven) ==
        "[sharding] dimension_does_not_divide: dimension 0 has extent 7, which does not divide into 4 shards; "
        "sizes that work: 4, 8; shards that work: 7");
  CHECK(message(one) ==
        "[sharding] dimension_does_not_divide: dimension 0 has extent 1, which does not divide into 4 shards; "
        "sizes that work: 4; shards that work: 1");
  CHECK(local_extents<P<model, data>, Grid>(Extents<Shape<dyn, 6>>(8)).array() == std::array<index_t, 2>{2, 3});
}
