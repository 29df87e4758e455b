// Verbs of Host for mixtures of experts: route, dispatch, combine, and what acts on rows grouped by expert.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <span>
#include <vector>

#include "../../core/error.hpp"
#include "../../sharding/sharded_tensor.hpp"
#include "../token_group.hpp"
#include "apply.hpp"
#include "element_kernels.hpp"
#include "expert_rows.hpp"
#include "thread_pool.hpp"

namespace tess::host {

/// `Self` is the device: it has `pool()`. Rows behind the last expert's belong to nobody: they are neither written nor
/// read.
template <class Self>
class RoutingVerbs {
 public:
  /// `given`: f32 [E] for every token alike, such as a correction bias.
  template <AnyTensor Ids, AnyTensor Weights, AnyTensor Logits, class Choose, AnyTensor... Given>
  void route(Ids& ids, Weights& weights, const Logits& logits, Choose choose, const Given&... given) {
    const index_t experts = logits.local_extent(2), k = ids.local_extent(2), tokens = logits.local_extent(1);
    const auto length = [](index_t n) { return static_cast<std::size_t>(n); };
    for (index_t r = 0; r < Logits::mesh::size; ++r) {
      const f32* scores = logits.storage().data(r);
      i32* chosen = ids.storage().data(r);
      f32* shares = weights.storage().data(r);
      if constexpr (requires(const TokenGroup& g) { choose.group(g, row_of(given, r)...); }) {
        const index_t first = shard_index<typename Logits::mesh>(Logits::sharding[0], r) * logits.local_extent(0);
        pool().for_range(tokens ? logits.local_extent(0) : 0, 1, [&](index_t begin, index_t end) {
          for (index_t b = begin; b < end; ++b)
            choose.group(TokenGroup{first + b,
                                    tokens,
                                    {scores + b * tokens * experts, length(tokens * experts)},
                                    {chosen + b * tokens * k, length(tokens * k)},
                                    {shares + b * tokens * k, length(tokens * k)}},
                         row_of(given, r)...);
        });
      } else {
        each_token(logits.local_extent(0) * tokens, experts, [&](index_t i) {
          const std::span<const f32> row(scores + i * experts, length(experts));
          const std::span<i32> own(chosen + i * k, length(k));
          const std::span<f32> share(shares + i * k, length(k));
          if constexpr (requires { choose(i, row, row_of(given, r)..., own, share); })
            choose(i, row, row_of(given, r)..., own, share);
          else choose(row, row_of(given, r)..., own, share);
        });
      }
    }
  }

  template <AnyTensor Rows, AnyTensor Positions, AnyTensor Offsets, AnyTensor X, AnyTensor Ids>
  void dispatch(Rows& rows, Positions& positions, Offsets& offsets, const X& x, const Ids& ids) {
    const index_t k = ids.local_extent(2), n = ids.local_extents().size(), width = x.local_extent(2),
                  experts = offsets.local_extent(0) - 1;
    for (index_t r = 0; r < Rows::mesh::size; ++r) {
      const i32* position = positions.storage().data(r);
      number_rows(ids.storage().data(r), n, {0, experts, experts}, offsets.storage().data(r),
                  positions.storage().data(r));
      each_token(n, width, [&](index_t i) {
        if (position[i] != no_expert)
          std::copy_n(x.storage().data(r) + i / k * width, width, rows.storage().data(r) + position[i] * width);
      });
    }
  }

  template <AnyTensor Y, AnyTensor Rows, AnyTensor Positions, AnyTensor Weights>
  void combine(Y& y, const Rows& rows, const Positions& positions, const Weights& weights) {
    const index_t k = weights.local_extent(2), width = y.local_extent(2);
    for (index_t r = 0; r < Y::mesh::size; ++r)
      each_token(y.local_extent(0) * y.local_extent(1), width, [&](index_t token) {
        sum_choices(rows.storage().data(r), positions.storage().data(r) + token * k,
                    weights.storage().data(r) + token * k, k, width, y.storage().data(r) + token * width);
      });
  }

  /// map of rows that lie alike.
  template <class F, AnyTensor Y, AnyTensor Offsets, AnyTensor... X>
  void map_grouped(F f, Y& y, const Offsets& offsets, const X&... x) {
    if constexpr (computed_in_f32<typename Y::value_type> && (computed_in_f32<typename X::value_type> && ...)) {
      const index_t width = y.local_extent(1);
      for (index_t r = 0; r < Y::mesh::size; ++r)
        pool().for_range(rows_of(offsets, r) * width, grain,
                         [&, out = y.storage().data(r)](index_t begin, index_t end) {
                           host::apply(f, out + begin, end - begin,
                                       static_cast<const typename X::value_type*>(x.storage().data(r)) + begin...);
                         });
    } else {
      static_cast<Self*>(this)->map(f, y, x...);
    }
  }

  /// y = x + bias of the row's expert, bias [E, N].
  template <AnyTensor Y, AnyTensor X, AnyTensor Bias, AnyTensor Offsets>
  void add_grouped_bias(Y& y, const X& x, const Bias& bias, const Offsets& offsets) {
    const index_t width = y.local_extent(1);
    if (bias.local_extent(0) != offsets.local_extent(0) - 1)
      fail("[add_bias] rows are grouped for ", offsets.local_extent(0) - 1, " experts, and there are biases of ",
           bias.local_extent(0), " (MoELayer's expert_count)");
    for (index_t r = 0; r < Y::mesh::size; ++r) {
      const i32* at = offsets.storage().data(r);
      const i32* end_of = at + 1;
      each_token(rows_of(offsets, r), width, [&](index_t row) {
        const index_t e = std::upper_bound(end_of, end_of + bias.local_extent(0), row) - end_of;
        const auto* b = bias.storage().data(r) + e * width;
        const auto* in = x.storage().data(r) + row * width;
        auto* out = y.storage().data(r) + row * width;
        for (index_t i = 0; i < width; ++i)
          out[i] = static_cast<typename Y::value_type>(static_cast<f32>(in[i]) + static_cast<f32>(b[i]));
      });
    }
  }

 private:
  static constexpr index_t grain = 8192;  // elements: some microseconds, what waking a thread costs

  ThreadPool& pool() { return static_cast<Self*>(this)->pool(); }

  template <AnyTensor X>
  static std::span<const f32> row_of(const X& x, index_t r) {
    return {x.storage().data(r), static_cast<std::size_t>(x.local_extents().size())};
  }
  template <AnyTensor Offsets>
  static index_t rows_of(const Offsets& offsets, index_t r) {
    return offsets.storage().data(r)[offsets.local_extent(0) - 1];
  }

  /// f(i) for n rows of `width` elements, shared among threads.
  template <class F>
  void each_token(index_t n, index_t width, F f) {
    pool().for_range(n, std::max<index_t>(1, grain / std::max<index_t>(1, width)), [&](index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i) f(i);
    });
  }
};

}  // namespace tess::host
