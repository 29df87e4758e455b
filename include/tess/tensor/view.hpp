// View: a pointer and the extents of one dense row-major array on one device; all that a kernel ever sees.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "shape.hpp"

namespace tess {

/// Does not own. Row-major and contiguous: the last dimension has stride 1.
template <class T, AnyShape S>
class View {
 public:
  using value_type = T;
  using shape = S;
  static constexpr int rank = S::rank;

  constexpr View() = default;
  constexpr View(T* data, Extents<S> extents) : data_(data), extents_(extents) {}

  /// Static extents may be forgotten, and elements become const.
  template <class U, AnyShape R>
  requires(std::convertible_to<U (*)[], T (*)[]>&& R::rank == S::rank &&
           S::dynamic_count == S::rank) constexpr View(const View<U, R>& other)
      : data_(other.data()), extents_(Extents<S>::from(other.extents().array())) {}

  constexpr T* data() const { return data_; }
  constexpr const Extents<S>& extents() const { return extents_; }
  constexpr index_t extent(int d) const { return extents_[d]; }
  constexpr index_t size() const { return extents_.size(); }

  /// Element at the given indices, one for each dimension.
  template <std::convertible_to<index_t>... I>
  requires(sizeof...(I) == static_cast<std::size_t>(S::rank)) constexpr T& operator()(I... i) const {
    index_t at = 0;
    int d = 0;
    ((at = at * extents_[d++] + static_cast<index_t>(i)), ...);
    return data_[at];
  }

  /// Row i of a matrix: a pointer to its first element.
  constexpr T* row(index_t i) const requires(S::rank == 2) { return data_ + i * extents_[1]; }

 private:
  T* data_ = nullptr;
  Extents<S> extents_{};
};

template <class T>
using MatrixView = View<T, Shape<dyn, dyn>>;

}  // namespace tess
