// Verbs of Cuda on rows: root mean squares, alone and together with the residual stream, and rows of an embedding.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../../sharding/device_slice.hpp"
#include "../../sharding/sharded_tensor.hpp"
#include "rms_norm.hpp"
#include "storage.hpp"
#include "take.hpp"

namespace tess::cuda {

/// `Self` is the device (base.hpp).
template <class Self>
class RowVerbs {
 public:
  template <AnyTensor Y, AnyTensor X>
  void sum_squares(Y& y, const X& x) {
    const index_t width = x.local_extent(X::rank - 1);
    each<X>([&](index_t r, Gpu& gpu) {
      cuda::sum_squares(gpu, y.storage().data(r), x.storage().data(r), width ? y.local_extents().size() : 0, width);
    });
  }
  /// y = x · rsqrt(sums / D + eps) · scale, D the whole width.
  template <AnyTensor Y, AnyTensor X, AnyTensor Sums, AnyTensor Scale>
  void rms_scale(Y& y, const X& x, const Sums& sums, const Scale& scale, f32 eps) {
    const index_t width = x.local_extent(X::rank - 1);
    each<X>([&](index_t r, Gpu& gpu) {
      cuda::rms_scale(gpu, y.storage().data(r), x.storage().data(r), sums.storage().data(r), scale.storage().data(r),
                      rows_of(x), width, x.extent(X::rank - 1), eps);
    });
  }
  /// Both, of rows that are whole on a device: the operation takes it where there is one.
  template <AnyTensor Y, AnyTensor X, AnyTensor Scale>
  void rms_norm(Y& y, const X& x, const Scale& scale, f32 eps) {
    each<X>([&](index_t r, Gpu& gpu) {
      cuda::rms_norm(gpu, y.storage().data(r), x.storage().data(r), scale.storage().data(r), rows_of(x),
                     x.local_extent(X::rank - 1), eps);
    });
  }
  /// sum = h + rms_norm(a) · scale.
  template <AnyTensor Y, AnyTensor H, AnyTensor A, AnyTensor Scale>
  void add_rms_norm(Y& sum, const H& h, const A& a, const Scale& scale, f32 eps) {
    each<H>([&](index_t r, Gpu& gpu) {
      typename Y::value_type* none = nullptr;
      cuda::add_rms_norm(gpu, sum.storage().data(r), none, h.storage().data(r), a.storage().data(r),
                         scale.storage().data(r), nullptr, rows_of(h), h.local_extent(H::rank - 1), eps, eps);
    });
  }
  /// And normed = rms_norm(sum) · next_scale.
  template <AnyTensor Y, AnyTensor N, AnyTensor H, AnyTensor A, AnyTensor Scale, AnyTensor NextScale>
  void add_rms_norms(Y& sum, N& normed, const H& h, const A& a, const Scale& scale, const NextScale& next_scale,
                     f32 eps, f32 next_eps) {
    each<H>([&](index_t r, Gpu& gpu) {
      cuda::add_rms_norm(gpu, sum.storage().data(r), normed.storage().data(r), h.storage().data(r), a.storage().data(r),
                         scale.storage().data(r), next_scale.storage().data(r), rows_of(h), h.local_extent(H::rank - 1),
                         eps, next_eps);
    });
  }

  /// Rows of an embedding, zeros for those of other shards. An id outside the whole table is reported (fault.hpp).
  template <AnyTensor Y, AnyTensor Table, AnyTensor Ids>
  void take(Y& y, const Table& table, const Ids& ids) {
    using M = typename Y::mesh;
    each<Y>([&](index_t r, Gpu& gpu) {
      const EmbeddingRows& rows = table.storage().embedding(r);
      const TableShard shard{shard_index<M>(Table::sharding[0], r) * rows.vocabulary, rows.vocabulary, table.extent(0),
                             rows.width, rows.pitch};
      const i32* id = ids.storage().data(r);
      const index_t n = ids.local_extents().size();
      if (rows.rows) take_rows(gpu, y.storage().data(r), rows.rows, shard, id, n);
      else take_rows(gpu, y.storage().data(r), rows.rounded, shard, id, n);
    });
  }

 private:
  template <AnyTensor X, class F>
  void each(F f) {
    static_cast<Self&>(*this).template each_rank<X>(f);
  }
  template <AnyTensor X>
  static index_t rows_of(const X& x) {
    const index_t width = x.local_extent(X::rank - 1);
    return width ? x.local_extents().size() / width : 0;
  }
};

}  // namespace tess::cuda
