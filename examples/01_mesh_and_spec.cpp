// Tutorial 1, a mesh and a spec: which device holds which part of an array, as types that the compiler checks.
// SPDX-License-Identifier: Apache-2.0
#include <tess/device/dry.hpp>
#include <tess/io/visualize.hpp>
#include <tess/sharding/device_slice.hpp>
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

}  // namespace

int main() {
  // [quote:visualize]
  // Which device holds what, as a picture: in colours on a terminal. No device is needed for it, and no tensor.
  visualize<P<data, model>>(Grid{}, Shape<4096, 6144>{});
  visualize<P<None, model>>(Grid{}, Shape<4096, 6144>{});
  visualize<P<data, None>>(Grid{}, Shape<4096, 6144>{});
  visualize<P<None, Axes<data, model>>>(Grid{}, Shape<4096, 6144>{});
  visualize<P<None, Axes<model, data>>>(Grid{}, Shape<4096, 6144>{});
  // [/quote]
  return 0;
}
