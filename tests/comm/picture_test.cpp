// Pictures: the boxes of a spec as text, character by character; every device in one box; colours; well-formed SVG.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include <tess/comm/plan_picture.hpp>
#include <tess/io/visualize.hpp>

#include "support/all_specs.hpp"
#include "support/files.hpp"

using namespace tess;

namespace {

struct data;
struct model;
struct expert;
using Grid = Mesh<Axis<data, 2>, Axis<model, 4>>;

template <class Spec, class S, class M = Grid>
std::string text() {
  return "\n" + picture<Spec>(M{}, S{}).text();
}

std::ptrdiff_t count(const std::string& text, const std::string& part) {
  std::ptrdiff_t n = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++n;
  return n;
}

}  // namespace

TEST_CASE("picture.one_box_a_tile") {
  CHECK(text<P<data, model>, Shape<4096, 6144>>() == R"(
P(data, model) of [4096, 6144]: each device holds [2048, 1536]
┌─────────┬─────────┬─────────┬─────────┐
│ 0       │ 1       │ 2       │ 3       │
├─────────┼─────────┼─────────┼─────────┤
│ 4       │ 5       │ 6       │ 7       │
└─────────┴─────────┴─────────┴─────────┘
)");
}

TEST_CASE("picture.replicas_share_a_box") {
  CHECK(text<P<None, model>, Shape<8, 8>>() == R"(
P(None, model) of [8, 8]: each device holds [8, 2]
┌─────────┬─────────┬─────────┬─────────┐
│ 0 4     │ 1 5     │ 2 6     │ 3 7     │
└─────────┴─────────┴─────────┴─────────┘
)");
}

TEST_CASE("picture.addends_are_stacked") {
  CHECK(text<P<None, data, Partial<model>>, Shape<8, 8>>() == R"(
P(None, data, Partial(model)) of [8, 8]: each device holds [8, 4]
┌───────────────────┬───────────────────┐
│ 0                 │ 4                 │
│ + 1               │ + 5               │
│ + 2               │ + 6               │
│ + 3               │ + 7               │
└───────────────────┴───────────────────┘
)");
  CHECK(text<P<PartialMax<data>>, Shape<8>>() == R"(
P(None, PartialMax(data)) of [8]: each device holds [8]
┌───────────────────────────────────────┐
│ 0-3                                   │
│ max 4-7                               │
└───────────────────────────────────────┘
)");
}

TEST_CASE("picture.of_one_dimension_is_a_row_and_of_none_a_box") {
  CHECK(text<P<Axes<model, data>>, Shape<16>>() == R"(
P((model, data)) of [16]: each device holds [2]
┌────┬────┬────┬────┬────┬────┬────┬────┐
│ 0  │ 4  │ 1  │ 5  │ 2  │ 6  │ 3  │ 7  │
└────┴────┴────┴────┴────┴────┴────┴────┘
)");
  CHECK(text<P<>, Shape<>>() == R"(
P() of []: each device holds []
┌───────────────────────────────────────┐
│ 0-7                                   │
└───────────────────────────────────────┘
)");
}

TEST_CASE("picture.shows_the_two_dimensions_that_are_sharded_and_a_sheet_for_each_shard_of_a_third") {
  CHECK(text<P<data, None, model>, Shape<4, 16, 64>>() == R"(
P(data, None, model) of [4, 16, 64]: each device holds [2, 16, 16]
dimension 0 down, dimension 2 across
┌─────────┬─────────┬─────────┬─────────┐
│ 0       │ 1       │ 2       │ 3       │
├─────────┼─────────┼─────────┼─────────┤
│ 4       │ 5       │ 6       │ 7       │
└─────────┴─────────┴─────────┴─────────┘
)");
  using Cube = Mesh<Axis<data, 2>, Axis<expert, 2>, Axis<model, 2>>;
  CHECK(text<P<data, expert, model>, Shape<2, 4, 8>, Cube>() == R"(
P(data, expert, model) of [2, 4, 8]: each device holds [1, 2, 4]
dimension 0 down, dimension 1 across
[:, :, 0:4]
┌───────────────────┬───────────────────┐
│ 0                 │ 2                 │
├───────────────────┼───────────────────┤
│ 4                 │ 6                 │
└───────────────────┴───────────────────┘
[:, :, 4:8]
┌───────────────────┬───────────────────┐
│ 1                 │ 3                 │
├───────────────────┼───────────────────┤
│ 5                 │ 7                 │
└───────────────────┴───────────────────┘
)");
}

TEST_CASE("picture.of_many_shows_the_first_and_the_last") {
  using Wide = Mesh<Axis<model, 64>>;
  const std::string row = text<P<model>, Shape<64>, Wide>();
  CHECK(test::contains(row, "│ 13 │ ⋯ │ 63 │"));
  CHECK(test::contains(text<P<None, data>, Shape<8, 8>, Mesh<Axis<model, 32>, Axis<data, 2>>>(),
                       "│ 0 2 4 6 8 10 … 62 │ 1 3 5 7 9 11 … 63 │"));
}

TEST_CASE("picture.law_every_device_is_in_one_tile_and_has_one_addend") {
  MeshValue m;
  m.rank = 3, m.sizes = {2, 3, 2};
  for (const SpecValue& spec : support::all_pending_specs(m.rank, 3)) {
    const Tiling t = tiling(m, spec);
    for (index_t device = 0; device < m.devices(); ++device) {
      int tiles = 0;
      for (index_t s = 0; s < t.sheets; ++s)
        for (index_t r = 0; r < t.rows; ++r)
          for (index_t c = 0; c < t.columns; ++c) tiles += t.holds(device, s, r, c);
      REQUIRE(tiles == 1);
      REQUIRE(t.addend(device) < t.addends());
    }
    index_t shards = 1;
    for (int d = 0; d < spec.rank; ++d) shards *= parts(m, spec[d]);
    CHECK(t.sheets * t.rows * t.columns == shards);
  }
}

TEST_CASE("picture.colours_are_for_terminals") {
  const Picture p = picture<P<data, model>>(Grid{}, Shape<8, 8>{});
  CHECK(!test::contains(p.text(), "\x1b"));
  CHECK(count(p.coloured(), "\x1b[30;48;5;") == 8);
  CHECK(count(p.coloured(), "\x1b[0m") == 8);
  std::string plain = p.coloured();
  for (std::size_t at; (at = plain.find('\x1b')) != plain.npos;) plain.erase(at, plain.find('m', at) - at + 1);
  CHECK(plain == p.text());
}

TEST_CASE("visualize.prints_plain_text_to_what_is_not_a_terminal") {
  const test::TemporaryFolder folder;
  const std::string path = (folder / "out").string();
  std::FILE* file = std::fopen(path.c_str(), "w");
  const Picture p = picture<P<data, model>>(Grid{}, Shape<8, 8>{});
  visualize(p, file);
  std::fclose(file);
  CHECK(test::read_file(path) == p.text() + "\n");
}

TEST_CASE("picture.svg_has_a_box_a_tile_the_ranges_and_the_devices") {
  const std::string image = picture<P<data, model>>(Grid{}, Shape<8, 64>{}).svg();
  CHECK(image.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" "));
  CHECK(image.ends_with("</svg>\n"));
  CHECK(count(image, "<rect") == 1 + 8);  // the paper, and the tiles
  CHECK(count(image, "<text") == count(image, "</text>"));
  for (const char* range : {">0:4<", ">4:8<", ">0:16<", ">48:64<"}) CHECK_MESSAGE(test::contains(image, range), range);
  for (char device = '0'; device < '8'; ++device) CHECK(count(image, std::string(">") + device + "<") == 1);
  CHECK(count(picture<P<Partial<model>>>(Grid{}, Shape<8>{}).svg(), "stroke-dasharray") == 3);  // between four addends
}

TEST_CASE("picture.of_run_time_sizes") {
  CHECK(picture<P<data>>(Grid{}, Extents<Shape<dyn, 8>>(6)).title() ==
        "P(data, None) of [6, 8]: each device holds [3, 8]");
  CHECK_THROWS_AS(picture<P<data>>(Grid{}, Extents<Shape<dyn, 8>>(7)), Error);
}

TEST_CASE("plan_pictures.show_the_tensor_before_and_after_each_step") {
  const auto pictures = plan_pictures<Shape<8, 8>, P<data>, P<None, model>, Grid>();
  REQUIRE(pictures.size() == 3);
  CHECK(pictures[0].title() == "P(data, None) -> P(None, model), 128 B -> 64 B on each device");
  CHECK("\n" + pictures[1].text() == R"(
1. slice over model: dimension 1 -> P(data, model): no bytes
┌─────────┬─────────┬─────────┬─────────┐
│ 0       │ 1       │ 2       │ 3       │
├─────────┼─────────┼─────────┼─────────┤
│ 4       │ 5       │ 6       │ 7       │
└─────────┴─────────┴─────────┴─────────┘
)");
  CHECK("\n" + pictures[2].text() == R"(
2. all-gather over data: dimension 0 -> P(None, model): 32 B in 1 message
┌─────────┬─────────┬─────────┬─────────┐
│ 0 4     │ 1 5     │ 2 6     │ 3 7     │
└─────────┴─────────┴─────────┴─────────┘
)");
  CHECK(plan_pictures<Shape<8, 8>, P<data>, P<data>, Grid>().size() == 1);
}
