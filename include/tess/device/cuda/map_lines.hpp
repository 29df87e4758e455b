// map_lines: functions of whole lines on a GPU, a thread for each element of a line, or for each line.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <memory>
#include <utility>

#include "../../tensor/line.hpp"
#include "copy.hpp"

namespace tess::cuda {

/// Contiguous lines of one operand, [lines, count].
template <class T>
struct Lines {
  T* data = nullptr;
  index_t count = 0, first = 0;

  constexpr Line<T> operator[](index_t line) const { return {data + line * count, count, first}; }
};

/// A function that falls apart into the elements of its longest line (tensor/line.hpp).
template <class F, class... T>
inline constexpr bool acts_by_element = requires(const F& f, index_t i, const Line<T>&... lines) {
  f.at(i, lines...);
};

template <class F, class... T>
__global__ void map_elements_of_lines(F f, index_t lines, index_t longest, Lines<T>... of) {
  follow_previous_kernel();
  index_t line = thread_number();
  const index_t i = take_remainder(line, longest);
  if (line < lines) f.at(i, of[line]...);
}
template <class F, class... T>
__global__ void map_lines_kernel(F f, index_t lines, Lines<T>... of) {
  follow_previous_kernel();
  const index_t line = thread_number();
  if (line < lines) f(of[line]...);
}

/// f(line of each) for `lines` lines.
template <class F, class... T>
void map_lines(Gpu& gpu, F f, index_t lines, Lines<T>... of) {
  if constexpr (acts_by_element<F, T...>) {
    const index_t longest = std::max({of.count...});
    if (longest == 0) return;
    void (*kernel)(F, index_t, index_t, Lines<T>...) = map_elements_of_lines<F, T...>;
    gpu.run(kernel, a_thread_each(lines * longest), f, lines, longest, of...);
  } else {
    void (*kernel)(F, index_t, Lines<T>...) = map_lines_kernel<F, T...>;
    gpu.run(kernel, a_thread_each(lines, 64), f, lines, of...);
  }
}

/// The lines of an operand [outer, count, inner], copied to working memory where inner > 1, and back after they were
/// written.
template <class T>
class LinesOfOperand {
  using Element = std::remove_const_t<T>;
  static constexpr index_t bytes = sizeof(Element);

 public:
  LinesOfOperand(Gpu& gpu, T* data, index_t outer, index_t count, index_t inner, index_t first)
      : gpu_(gpu), data_(data), count_(count), first_(first) {
    if (inner == 1) return;
    gathered_ = gpu.template scratch<Element>(outer * count * inner);
    box_.push(outer, count * inner, count * inner);
    box_.push(count, inner, 1);
    box_.push(inner, 1, count);
    if constexpr (std::is_const_v<T>) copy_strided(gpu, box_, bytes, data, gathered_.get());
  }
  Lines<T> lines() const { return {gathered_ ? gathered_.get() : data_, count_, first_}; }
  void finish() const {
    if constexpr (!std::is_const_v<T>)
      if (gathered_) {
        StridedCopy back = box_;
        for (auto& side : back.side) std::swap(side.from_step, side.to_step);
        copy_strided(gpu_, back, bytes, gathered_.get(), data_);
      }
  }

 private:
  Gpu& gpu_;
  T* data_;
  index_t count_, first_;
  StridedCopy box_;
  std::shared_ptr<Element> gathered_;
};

}  // namespace tess::cuda
