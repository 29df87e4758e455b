// The verbs of elementwise operations and reductions on GPUs: shard by shard, each on its GPU.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "base.hpp"
#include "map.hpp"
#include "reduce_lines.hpp"

namespace tess::cuda {

/// Functions are called on the GPU: function objects whose operator() is constexpr, as all of Tessera's are. `Self` is the
/// device: it has `each_rank`.
template <class Self>
class ElementVerbs {
 public:
  /// y = f(x...), all laid out alike.
  template <class F, AnyTensor Y, AnyTensor... X>
  void map(F f, Y& y, const X&... x) {
    self().template each_rank<Y>([&](index_t r, Gpu& gpu) {
      cuda::map(gpu, f, y.storage().data(r), y.local_extents().size(),
                static_cast<const typename X::value_type*>(x.storage().data(r))...);
    });
  }

  /// y = f(x...), where operands stretch or are sliced.
  template <class F, AnyTensor Y, AnyTensor... X>
  void map_broadcast(F f, Y& y, const X&... x) {
    self().template each_rank<Y>([&](index_t r, Gpu& gpu) {
      map_strided(gpu, f, y.storage().data(r), Y::rank, ranks(y.local_extents()), operand<Y>(x, r)...);
    });
  }

  /// y = f of the lines of x along `dims`, of the part of each that a device holds.
  template <class F, AnyTensor Y, AnyTensor X>
  void reduce_lines(F f, Y& y, const X& x, unsigned dims) {
    self().template each_rank<Y>([&](index_t r, Gpu& gpu) {
      cuda::reduce_lines(gpu, f, y.storage().data(r), y.local_extents().size(),
                         static_cast<const typename X::value_type*>(x.storage().data(r)), X::rank,
                         ranks(x.local_extents()), dims);
    });
  }

  /// y[i, j, …] = f({i, j, …}), indices of the whole tensor.
  template <class F, AnyTensor Y>
  void fill_by_index(F f, Y& y) {
    self().template each_rank<Y>([&](index_t r, Gpu& gpu) {
      Ranks first{};
      for (int d = 0; d < Y::rank; ++d)
        first[static_cast<std::size_t>(d)] = shard_index<typename Y::mesh>(Y::sharding[d], r) * y.local_extent(d);
      cuda::fill_by_index(gpu, f, y.storage().data(r), Y::rank, ranks(y.local_extents()), first);
    });
  }

 private:
  Self& self() { return static_cast<Self&>(*this); }
};

}  // namespace tess::cuda
