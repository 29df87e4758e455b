// The verbs of shard_map on a simulated mesh: what blocks need besides the verbs of whole tensors.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <array>
#include <vector>

#include "../../sharding/device_slice.hpp"
#include "../../sharding/sharded_tensor.hpp"

namespace tess::host {

/// Of `Device`: `count_step(received)`, with the bytes that each rank received.
template <class Device>
class BlockVerbs {
 public:
  /// A scalar: where the device stands along the axes, major to minor.
  template <AnyTensor Y>
  void number_devices(Y& y, const DimAxes& axes) {
    for (index_t r = 0; r < Y::mesh::size; ++r)
      *y.storage().data(r) = static_cast<typename Y::value_type>(shard_index<typename Y::mesh>(axes, r));
  }

  /// The part of dimension `dim` of x from a scalar `start` on that is as long as y's; a start too late or too early is
  /// moved to where the part fits, as in JAX.
  template <AnyTensor Y, AnyTensor X, AnyTensor Start>
  void dynamic_slice(Y& y, const X& x, const Start& start, int dim) {
    index_t outer = 1, inner = 1;
    for (int d = 0; d < X::rank; ++d) (d < dim ? outer : inner) *= d == dim ? 1 : x.local_extent(d);
    const index_t from = x.local_extent(dim), to = y.local_extent(dim);
    for (index_t r = 0; r < Y::mesh::size; ++r) {
      const index_t first = std::clamp<index_t>(static_cast<index_t>(*start.storage().data(r)), 0, from - to);
      for (index_t o = 0; o < outer; ++o)
        std::copy_n(x.storage().data(r) + (o * from + first) * inner, to * inner, y.storage().data(r) + o * to * inner);
    }
  }

  /// Along `axes` (major to minor) the block of device `pair[0]` goes to `pair[1]`; who gets none has zeros.
  template <AnyTensor Y, AnyTensor X, std::size_t N>
  void send(Y& y, const X& x, const DimAxes& axes, const std::array<std::array<index_t, 2>, N>& pairs) {
    using M = typename X::mesh;
    const index_t size = x.local_extents().size();
    std::vector<index_t> received(static_cast<std::size_t>(M::size), 0);
    for (index_t r = 0; r < M::size; ++r) {
      std::fill_n(y.storage().data(r), size, typename Y::value_type{});
      for (const auto& [source, destination] : pairs) {
        if (destination != shard_index<M>(axes, r)) continue;
        index_t peer = r, rest = source;
        for (int i = axes.count - 1; i >= 0; --i) {
          const int a = axes[i];
          peer += (rest % M::axis_size(a) - M::coordinate(r, a)) * M::stride(a);
          rest /= M::axis_size(a);
        }
        std::copy_n(x.storage().data(peer), size, y.storage().data(r));
        if (peer != r)
          received[static_cast<std::size_t>(r)] = size * static_cast<index_t>(sizeof(typename X::value_type));
      }
    }
    self().count_step(received);
  }

  /// Does a scalar hold on some device?
  template <AnyTensor X>
  bool anywhere(const X& x) {
    bool any = false;
    for (index_t r = 0; r < X::mesh::size; ++r) any = any || *x.storage().data(r);
    return any;
  }
  /// A scalar that is the same on all devices decides which of two functions of nothing is called.
  template <AnyTensor X, class F, class G>
  auto choose(const X& x, F f, G g) {
    return *x.storage().data(0) ? f() : g();
  }
  /// Calls `turn` until it says false.
  template <class F>
  void repeat_while(F turn) {
    while (turn()) {
    }
  }

 private:
  Device& self() { return static_cast<Device&>(*this); }
};

}  // namespace tess::host
