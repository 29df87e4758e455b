// Verbs of Cuda for mixtures of experts: route, dispatch, combine, and what acts on rows grouped by expert.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../../core/error.hpp"
#include "../../sharding/device_slice.hpp"
#include "../../sharding/sharded_tensor.hpp"
#include "expert_rows.hpp"
#include "route.hpp"

namespace tess::cuda {

/// `Self` is the device (base.hpp). Rows behind the last expert's belong to nobody: they are neither written nor read.
/// How many there are is known on the GPU alone.
template <class Self>
class RoutingVerbs {
 public:
  /// `given`: f32 [E] for every token alike, such as a correction bias.
  template <AnyTensor Ids, AnyTensor Weights, AnyTensor Logits, class Choose, AnyTensor... Given>
  void route(Ids& ids, Weights& weights, const Logits& logits, Choose choose, const Given&... given) {
    self().template each_rank<Logits>([&](index_t r, Gpu& gpu) {
      const index_t first = shard_index<typename Logits::mesh>(Logits::sharding[0], r) * logits.local_extent(0);
      cuda::route(gpu,
                  Routing{logits.storage().data(r), ids.storage().data(r), weights.storage().data(r), first,
                          logits.local_extent(0), logits.local_extent(1), logits.local_extent(2), ids.local_extent(2)},
                  choose, static_cast<const f32*>(given.storage().data(r))...);
    });
  }

  template <AnyTensor Rows, AnyTensor Positions, AnyTensor Offsets, AnyTensor X, AnyTensor Ids>
  void dispatch(Rows& rows, Positions& positions, Offsets& offsets, const X& x, const Ids& ids) {
    const index_t experts = offsets.local_extent(0) - 1;
    self().template each_rank<Rows>([&](index_t r, Gpu& gpu) {
      cuda::dispatch(gpu, rows.storage().data(r), positions.storage().data(r), offsets.storage().data(r),
                     static_cast<const typename X::value_type*>(x.storage().data(r)), choices_of(ids, r),
                     {0, experts, experts}, x.local_extent(2), rows.local_extent(0));
    });
  }

  template <AnyTensor Y, AnyTensor Rows, AnyTensor Positions, AnyTensor Weights>
  void combine(Y& y, const Rows& rows, const Positions& positions, const Weights& weights) {
    self().template each_rank<Y>([&](index_t r, Gpu& gpu) {
      cuda::combine(gpu, y.storage().data(r), rows.storage().data(r), positions.storage().data(r),
                    weights.storage().data(r),
                    {nullptr, y.local_extent(0) * y.local_extent(1), weights.local_extent(2)}, y.local_extent(2));
    });
  }

  /// map of rows that lie alike.
  template <class F, AnyTensor Y, AnyTensor Offsets, AnyTensor... X>
  void map_grouped(F f, Y& y, const Offsets& offsets, const X&... x) {
    if constexpr (in_f32<typename Y::value_type> && (in_f32<typename X::value_type> && ...)) {
      self().template each_rank<Y>([&](index_t r, Gpu& gpu) {
        map_rows(gpu, f, y.storage().data(r), offsets.storage().data(r) + (offsets.local_extent(0) - 1),
                 y.local_extent(0), y.local_extent(1),
                 static_cast<const typename X::value_type*>(x.storage().data(r))...);
      });
    } else {
      self().map(f, y, x...);
    }
  }

  /// y = x + bias of the row's expert, bias [E, N].
  template <AnyTensor Y, AnyTensor X, AnyTensor Bias, AnyTensor Offsets>
  void add_grouped_bias(Y& y, const X& x, const Bias& bias, const Offsets& offsets) {
    if (bias.local_extent(0) != offsets.local_extent(0) - 1)
      fail("[add_bias] rows are grouped for ", offsets.local_extent(0) - 1, " experts, and there are biases of ",
           bias.local_extent(0), " (MoELayer's expert_count)");
    self().template each_rank<Y>([&](index_t r, Gpu& gpu) {
      cuda::add_grouped_bias(gpu, y.storage().data(r), x.storage().data(r), bias.storage().data(r),
                             offsets.storage().data(r), bias.local_extent(0), y.local_extent(0), y.local_extent(1));
    });
  }

 private:
  template <class T>
  static constexpr bool in_f32 = std::is_same_v<T, f32> || std::is_same_v<T, bf16>;

  Self& self() { return static_cast<Self&>(*this); }

  template <AnyTensor Ids>
  static Choices choices_of(const Ids& ids, index_t r) {
    return {ids.storage().data(r), ids.local_extent(0) * ids.local_extent(1), ids.local_extent(2)};
  }
};

}  // namespace tess::cuda
