// The pictures in docs/explanation/sharding.md are what `picture` draws today. Drawn anew with TESS_WRITE_DOCS=1.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include <tess/comm/plan_picture.hpp>

#include "support/files.hpp"

using namespace tess;

namespace {

struct data;
struct model;
struct expert;
using Grid = Mesh<Axis<data, 2>, Axis<model, 4>>;

const std::filesystem::path folder = TESS_SOURCE_DIR "/docs/images/sharding";

void is_drawn(const std::string& name, const Picture& picture) {
  const std::filesystem::path file = folder / (name + ".svg");
  if (std::getenv("TESS_WRITE_DOCS")) {
    std::filesystem::create_directories(folder);
    test::write_file(file, picture.svg());
  }
  CHECK_MESSAGE(test::read_file(file) == picture.svg(), file);
}

}  // namespace

TEST_CASE("pictures of the docs") {
  const Shape<8, 8> square;
  is_drawn("blocks", picture<P<data, model>>(Grid{}, square));
  is_drawn("replicas", picture<P<None, model>>(Grid{}, square));
  is_drawn("data_major", picture<P<Axes<data, model>>>(Grid{}, Shape<8>{}));
  is_drawn("model_major", picture<P<Axes<model, data>>>(Grid{}, Shape<8>{}));
  is_drawn("pending_sum", picture<P<data, None, Partial<model>>>(Grid{}, square));
  is_drawn("part_of_an_axis", picture<P<Sub<model, 1, 4>>>(Mesh<Axis<model, 4, 2>>{}, square));
  is_drawn("three_dimensions", picture<P<data, None, model>>(Grid{}, Shape<4, 16, 64>{}));
  is_drawn("three_sharded_dimensions",
           picture<P<data, expert, model>>(Mesh<Axis<data, 2>, Axis<expert, 2>, Axis<model, 2>>{}, Shape<2, 4, 8>{}));

  int step = 0;
  for (const Picture& p : plan_pictures<Shape<8, 8>, P<data>, P<None, model>, Grid>())
    is_drawn("rows_to_columns_" + std::to_string(step++), p);
  CHECK(step == 3);
}
