// A shape is the extents of a tensor as a type, each a number or `dyn`.
// SPDX-License-Identifier: Apache-2.0
#include <tess/tensor/view.hpp>

#include <concepts>

namespace {

using namespace tess;

// A shape is static when every extent is a number; then it knows its size.
static_assert(Shape<2, 3, 4>::rank == 3 && Shape<2, 3, 4>::is_static && Shape<2, 3, 4>::size == 24);
static_assert(!Shape<dyn, 6144>::is_static && Shape<dyn, 6144>::dynamic_count == 1 && Shape<dyn, 6144>::size == dyn);

// A scalar has rank 0 and one element; an extent may be 0.
static_assert(Shape<>::rank == 0 && Shape<>::size == 1 && Shape<0, 5>::size == 0);

// Extents fill in the run-time numbers, in order; static ones come from the type.
static_assert(Extents<Shape<dyn, 6144, dyn>>(7, 9).array() == std::array<index_t, 3>{7, 6144, 9});
static_assert(Extents<Shape<2, 3>>().size() == 6);
static_assert(Extents<Shape<dyn, 3>>().size() == 0);  // before its size is known

// As many numbers as there are dyn extents, no fewer and no more.
static_assert(std::constructible_from<Extents<Shape<dyn, 3>>, int>);
static_assert(!std::constructible_from<Extents<Shape<dyn, 3>>, int, int>);
static_assert(!std::constructible_from<Extents<Shape<2, 3>>, int>);

// Sizes read from elsewhere either agree with the static extents or not.
static_assert(Extents<Shape<dyn, 3>>::agrees({5, 3}) && !Extents<Shape<dyn, 3>>::agrees({5, 4}));

// A view is row-major: the last index runs fastest.
static_assert([] {
  int a[6] = {0, 1, 2, 3, 4, 5};
  const View<int, Shape<2, 3>> v(a, {});
  const MatrixView<const int> w = v;  // static extents may be forgotten, and elements become const
  return v(1, 0) == 3 && w(1, 2) == 5 && *w.row(1) == 3 && w.extent(0) == 2 && w.size() == 6;
}());
static_assert(!std::convertible_to<MatrixView<const int>, MatrixView<int>>);

static_assert(AnyShape<Shape<>> && AnyShape<Shape<dyn>> && !AnyShape<int>);

}  // namespace
