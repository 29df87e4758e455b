// The verbs of shard_map on GPUs: what blocks need besides the verbs of whole tensors.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../../sharding/device_slice.hpp"
#include "base.hpp"
#include "indexing.hpp"
#include "map.hpp"

namespace tess::cuda {

/// y [outer, to, inner] = x [outer, from, inner] from `start` on, which is moved to where the part fits.
template <class T, class Start>
__global__ void dynamic_slice_kernel(T* y, const T* x, const Start* start, index_t size, index_t from, index_t to,
                                     index_t inner) {
  follow_previous_kernel();
  const index_t i = thread_number();
  if (i >= size) return;
  const index_t given = static_cast<index_t>(*start), last = from - to;
  const index_t first = given < 0 ? 0 : given > last ? last : given;
  index_t line = i;
  const index_t within = take_remainder(line, to * inner);
  y[i] = x[(line * from + first) * inner + within];
}

/// `Self` is the device: it has `each_rank`, `needs_host`, `places`, `exchange`.
template <class Self>
class BlockVerbs {
 public:
  /// A scalar: where the device stands along the axes, major to minor.
  template <AnyTensor Y>
  void number_devices(Y& y, const DimAxes& axes) {
    using T = typename Y::value_type;
    self().template each_rank<Y>([&](index_t r, Gpu& gpu) {
      map(gpu, Value<T>{static_cast<T>(shard_index<typename Y::mesh>(axes, r))}, y.storage().data(r), 1);
    });
  }

  /// The part of dimension `dim` of x from a scalar `start` on that is as long as y's; a start too late or too early is
  /// moved to where the part fits, as in JAX.
  template <AnyTensor Y, AnyTensor X, AnyTensor Start>
  void dynamic_slice(Y& y, const X& x, const Start& start, int dim) {
    using T = typename Y::value_type;
    index_t inner = 1;
    for (int d = dim + 1; d < X::rank; ++d) inner *= x.local_extent(d);
    const index_t size = y.local_extents().size();
    self().template each_rank<Y>([&](index_t r, Gpu& gpu) {
      gpu.run(dynamic_slice_kernel<T, typename Start::value_type>, a_thread_each(size), y.storage().data(r),
              x.storage().data(r), start.storage().data(r), size, x.local_extent(dim), y.local_extent(dim), inner);
    });
  }

  /// Does a scalar hold on some device? Asks the GPUs, so that what comes next waits for them.
  template <AnyTensor X>
  bool anywhere(const X& x) {
    self().needs_host();
    bool any = false;
    self().template each_rank<X>([&](index_t r, Gpu& gpu) { any = read(gpu, x.storage().data(r)) || any; });
    return self().exchange().any(any);
  }
  /// A scalar that is the same on all devices decides which of two functions of nothing is called. Asks a GPU.
  template <AnyTensor X, class F, class G>
  auto choose(const X& x, F f, G g) {
    self().needs_host();
    constexpr index_t ranks = X::mesh::size;
    index_t r = 0;
    while (!self().places().is_here(r)) ++r;
    return read(self().gpu_of(r, ranks), x.storage().data(r)) ? f() : g();
  }
  /// Calls `turn` until it says false.
  template <class F>
  void repeat_while(F turn) {
    while (turn()) {
    }
  }

 private:
  Self& self() { return static_cast<Self&>(*this); }

  template <class T>
  static bool read(Gpu& gpu, const T* at) {
    T value{};
    gpu.download(&value, at, sizeof(T));
    return static_cast<bool>(value);
  }
};

}  // namespace tess::cuda
