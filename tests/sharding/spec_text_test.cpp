// spec_text: specs as they are read, with the names of the axes.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <tess/sharding/spec_text.hpp>

namespace {
using namespace tess;
struct data;
struct model;
using Grid = Mesh<Axis<data, 2>, Axis<model, 4>>;

template <class Spec, int Rank>
std::string text() {
  return spec_text<Grid>(spec_value<Spec, Grid, Rank>);
}
}  // namespace

TEST_CASE("spec_text.names_axes_without_their_namespaces") {
  CHECK(type_name<data>() == "data");
  CHECK(axis_text<Grid>(1) == "model");
}

TEST_CASE("spec_text.is_written_at_full_rank_with_pending_axes_last") {
  CHECK(text<P<>, 0>() == "P()");
  CHECK(text<P<data>, 2>() == "P(data, None)");
  CHECK(text<P<None, Axes<model, data>>, 2>() == "P(None, (model, data))");
  CHECK(text<P<data, None, Partial<model>>, 2>() == "P(data, None, Partial(model))");
  CHECK(text<P<Partial<data, model>>, 1>() == "P(None, Partial(data, model))");
}
