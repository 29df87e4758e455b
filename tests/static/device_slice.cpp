// Which elements a device holds: tuple order is major to minor, device numbers are row-major.
// SPDX-License-Identifier: Apache-2.0
#include <tess/sharding/device_slice.hpp>

namespace {

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;  // device = 4 · data + model

/// Does `device` hold rows [top, bottom) and columns [left, right) of an 8 x 8 matrix?
template <class Spec>
constexpr bool holds(index_t device, Range rows, Range columns) {
  return device_slice<Spec, M>(Extents<Shape<8, 8>>(), device) == std::array<Range, 2>{rows, columns};
}
constexpr Range all{0, 8};

// P<data, model>: a grid of blocks, model running fastest.
static_assert(holds<P<data, model>>(0, {0, 4}, {0, 2}) && holds<P<data, model>>(3, {0, 4}, {6, 8}) &&
              holds<P<data, model>>(4, {4, 8}, {0, 2}));

// P<model, data>: the same devices, the other way round.
static_assert(holds<P<model, data>>(0, {0, 2}, {0, 4}) && holds<P<model, data>>(1, {2, 4}, {0, 4}) &&
              holds<P<model, data>>(4, {0, 2}, {4, 8}));

// P<None, model>: device k holds the columns of k mod 4, so every column block has two copies.
static_assert(holds<P<None, model>>(1, all, {2, 4}) && holds<P<None, model>>(5, all, {2, 4}));

// P<Axes<data, model>>: device i holds row i.
static_assert([] {
  for (index_t i = 0; i < 8; ++i)
    if (!holds<P<Axes<data, model>>>(i, {i, i + 1}, all)) return false;
  return true;
}());

// P<Axes<model, data>>: model is the major axis, so the rows of devices 0 … 7 are 0 2 4 6 1 3 5 7.
static_assert([] {
  constexpr index_t rows[] = {0, 2, 4, 6, 1, 3, 5, 7};
  for (index_t i = 0; i < 8; ++i)
    if (!holds<P<Axes<model, data>>>(i, {rows[i], rows[i] + 1}, all)) return false;
  return true;
}());

// Law: over the whole mesh every element is held by size / (number of shards) devices.
template <class Spec>
constexpr bool covers(index_t copies) {
  for (index_t i = 0; i < 8; ++i)
    for (index_t j = 0; j < 8; ++j) {
      index_t held = 0;
      for (index_t device = 0; device < M::size; ++device) {
        const auto s = device_slice<Spec, M>(Extents<Shape<8, 8>>(), device);
        held += s[0].begin <= i && i < s[0].end && s[1].begin <= j && j < s[1].end;
      }
      if (held != copies) return false;
    }
  return true;
}
static_assert(covers<P<>>(8) && covers<P<data>>(4) && covers<P<None, model>>(2) && covers<P<model, data>>(1) &&
              covers<P<None, Axes<model, data>>>(1));

}  // namespace
