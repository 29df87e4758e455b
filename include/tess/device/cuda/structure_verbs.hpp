// Verbs of Cuda: copy and fill, which carry every structural operation; map_lines, functions of whole lines.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <tuple>

#include "../../sharding/device_slice.hpp"
#include "base.hpp"
#include "map.hpp"
#include "map_lines.hpp"

namespace tess::cuda {

/// `Self` is the device: it has `each_rank`.
template <class Self>
class StructureVerbs {
 public:
  /// Every element of y becomes `value`.
  template <AnyTensor Y>
  void fill(Y& y, const typename Y::value_type& value) {
    self().template each_rank<Y>([&](index_t r, Gpu& gpu) {
      map(gpu, Value<typename Y::value_type>{value}, y.storage().data(r), y.local_extents().size());
    });
  }

  /// The elements of `box_of(rank)` from the shard of x to that of y. Others of y stay as they are.
  template <AnyTensor Y, AnyTensor X, class BoxOf>
  void copy(Y& y, const X& x, const BoxOf& box_of) {
    static_assert(sizeof(typename X::value_type) == sizeof(typename Y::value_type));
    self().template each_rank<Y>([&](index_t r, Gpu& gpu) {
      copy_strided(gpu, box_of(r), sizeof(typename Y::value_type), x.storage().data(r), y.storage().data(r));
    });
  }

  /// f(line of every y, line of every x) for all lines along dimension `dim`, in which alone the tensors may differ.
  template <class F, AnyTensor... Y, AnyTensor... X>
  void map_lines(F f, int dim, const std::tuple<Y&...>& y, const X&... x) {
    using First = std::tuple_element_t<0, std::tuple<Y...>>;
    const First& like = std::get<0>(y);
    index_t outer = 1, inner = 1;
    for (int d = 0; d < First::rank; ++d)
      if (d != dim) (d < dim ? outer : inner) *= like.local_extent(d);
    self().template each_rank<First>([&](index_t r, Gpu& gpu) {
      const auto of = [&]<AnyTensor T, class E>(const T& tensor, E* data) {
        const index_t count = tensor.local_extent(dim);
        const index_t first = shard_index<typename T::mesh>(T::sharding[dim], r) * count;
        return LinesOfOperand<E>(gpu, data, outer, count, inner, first);
      };
      const std::tuple in{of(x, static_cast<const typename X::value_type*>(x.storage().data(r)))...};
      const std::tuple out = std::apply([&](auto&... t) { return std::tuple{of(t, t.storage().data(r))...}; }, y);
      std::apply([&](const auto&... l) { cuda::map_lines(gpu, f, outer * inner, l.lines()...); },
                 std::tuple_cat(out, in));
      std::apply([](const auto&... written) { (written.finish(), ...); }, out);
    });
  }

 private:
  Self& self() { return static_cast<Self&>(*this); }
};

}  // namespace tess::cuda
