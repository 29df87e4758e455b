// A plan in words says what each step does, what it moves, and how far that is from the least.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/comm/describe.hpp>

using namespace tess;

namespace {

struct data;
struct model;
using Grid = Mesh<Axis<data, 2>, Axis<model, 4>>;

}  // namespace

TEST_CASE("one step, its dimensions and its bytes") {
  CHECK(describe<Shape<16, 16>, P<model>, P<None, model>, Grid>() ==
        "P(model, None) -> P(None, model), 256 B -> 256 B on each device\n"
        "1. all-to-all over model: dimension 0 -> 1 -> P(None, model): 192 B in 3 messages\n"
        "192 B in all to the busiest device, where some device lacks 192 B\n");
}

TEST_CASE("parts of axes are named in parts, and the steps' bytes add up") {
  CHECK(describe<Shape<16, 16>, P<data, model>, P<None, data>, Grid>() ==
        "P(data, model) -> P(None, data), 128 B -> 512 B on each device\n"
        "1. permute -> P(model:(1)2, (data, model:(2)2)): 128 B in 1 message\n"
        "2. all-gather over model:(1)2: dimension 0 -> P(None, (data, model:(2)2)): 128 B in 1 message\n"
        "3. all-gather over model:(2)2: dimension 1 -> P(None, data): 256 B in 1 message\n"
        "512 B in all to the busiest device, where some device lacks 512 B\n");
}

TEST_CASE("bytes are those of the extents at run time and of the element type") {
  const Extents<Shape<dyn, 16>> rows(8);
  CHECK(describe<Shape<dyn, 16>, P<data, None, Partial<model>>, P<data, model>, Grid, FewestBytes, 2>(rows) ==
        "P(data, None, Partial(model)) -> P(data, model), 128 B -> 32 B on each device\n"
        "1. reduce-scatter over model: dimension 1 -> P(data, model): 96 B in 3 messages\n"
        "96 B in all to the busiest device\n");
}

TEST_CASE("steps between hosts say so") {
  using Hosts = Mesh<HybridAxis<data, 2, 4>>;
  const std::string text = describe<Shape<512, 512>, P<Partial<data>>, P<>, Hosts>();
  CHECK(text.find("2. all-reduce over data:(1)2 -> P(data:(2)4, None): 262144 B in 2 messages, between hosts\n") !=
        std::string::npos);
  CHECK(text.find("between hosts") == text.rfind("between hosts"));
}

TEST_CASE("where nothing moves, that is said") {
  CHECK(describe<Shape<16>, P<model>, P<Axes<model>, Reduced<data>>, Grid>() ==
        "P(model) -> P(model, Reduced(data)), 16 B -> 16 B on each device\n"
        "the same placement: nothing moves\n");
}
