// Tutorial 1, a mesh and a spec: which device holds which part of an array, as types that the compiler checks.
// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <string>
#include <tess/device/dry.hpp>
#include <tess/sharding/device_slice.hpp>
#include <tess/sharding/spec_text.hpp>
#include <type_traits>

namespace {

using namespace tess;

// [quote:spec]
struct data;  // names for the axes of a mesh: types that are only declared
struct model;

using Grid = Mesh<Axis<data, 2>, Axis<model, 4>>;                            // eight devices in two rows of four
using Weight = ShardedTensor<f32, Shape<4096, 6144>, Grid, P<data, model>>;  // rows over data, columns over model
static_assert(std::is_same_v<Weight::local_shape, Shape<2048, 1536>>);       // what one device holds
// [/quote]

// [quote:shard_shape]
// A dimension is divided by the product of the axes on it. None, or nothing: it is whole on every device.
static_assert(std::is_same_v<shard_shape<Shape<4096, 6144>, P<None, model>, Grid>, Shape<4096, 1536>>);
static_assert(std::is_same_v<shard_shape<Shape<4096, 6144>, P<data>, Grid>, Shape<2048, 6144>>);
static_assert(std::is_same_v<shard_shape<Shape<4096, 6144>, P<None, Axes<data, model>>, Grid>, Shape<4096, 768>>);

// A size that is known only at run time is dyn, and is checked then.
static_assert(std::is_same_v<shard_shape<Shape<dyn, 6144>, P<data, model>, Grid>, Shape<dyn, 1536>>);

// What cannot be divided is not a type: 4096 rows, but a mesh with an axis of 5.
static_assert(!Shardable<Shape<4096, 6144>, P<model>, Mesh<Axis<model, 5>>>);
// [/quote]

// [quote:slice]
// The rows and columns that device 6 holds. Devices are numbered row by row: 6 stands at data = 1, model = 2.
constexpr auto slice = device_slice<P<data, model>, Grid>(Extents<Shape<4096, 6144>>{}, 6);
static_assert(slice[0] == Range{2048, 4096} && slice[1] == Range{3072, 4608});
// [/quote]

/// Draws a matrix as a box of tiles; in each the numbers of the devices that hold it.
template <AnySpec Spec>
void draw() {
  using Local = shard_shape<Shape<4096, 6144>, Spec, Grid>;
  constexpr index_t rows = 4096 / Local::extents[0], columns = 6144 / Local::extents[1], line_width = 40;
  constexpr index_t width = line_width / columns - 1;
  const auto rule = [] {
    for (index_t c = 0; c < columns; ++c) std::printf("+%s", std::string(width, '-').c_str());
    std::printf("+\n");
  };
  std::printf("%s: each device holds [%td, %td]\n", spec_text<Grid>(spec_value<Spec, Grid, 2>).c_str(),
              Local::extents[0], Local::extents[1]);
  for (index_t r = 0; r < rows; ++r) {
    rule();
    for (index_t c = 0; c < columns; ++c) {
      std::string devices;
      for (index_t device = 0; device < Grid::size; ++device) {
        const auto held = device_slice<Spec, Grid>(Extents<Shape<4096, 6144>>{}, device);
        if (held[0].begin == r * Local::extents[0] && held[1].begin == c * Local::extents[1])
          devices += " " + std::to_string(device);
      }
      std::printf("|%-*s", static_cast<int>(width), devices.c_str());
    }
    std::printf("|\n");
  }
  rule();
  std::printf("\n");
}

}  // namespace

int main() {
  std::printf("A matrix [4096, 6144] on Mesh<Axis<data, 2>, Axis<model, 4>>\n\n");
  draw<P<data, model>>();
  draw<P<None, model>>();
  draw<P<data, None>>();
  draw<P<None, Axes<data, model>>>();
  draw<P<None, Axes<model, data>>>();
  return 0;
}
