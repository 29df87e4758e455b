// The verbs of attention on GPUs: rotary positions, the cache, and softmax(q · k) · v.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cmath>
#include <vector>

#include "../../sharding/device_slice.hpp"
#include "../../sharding/rules/attention.hpp"
#include "attention.hpp"
#include "cache.hpp"

namespace tess::cuda {

template <class Self>
class AttentionVerbs {
 public:
  template <AnyTensor Y, AnyTensor Q, AnyTensor K, class V, class Sinks, class Rows, class Options>
  void attention(Y& y, const Q& q, const K& keys, const V& values, const Sinks& sinks, const Rows& rows,
                 const Options& options) {
    constexpr index_t key_width = tess::detail::static_extent<typename Q::shape>(3),
                      value_width = tess::detail::static_extent<typename Y::shape>(3);
    constexpr bool values_in_keys = !AnyTensor<V>;
    constexpr bool whole_words = key_width % 8 == 0 && (values_in_keys || value_width % 8 == 0);
    constexpr index_t width = key_width == dyn || value_width == dyn ? dyn
                              : whole_words                          ? std::max(key_width, value_width)
                                                                     : 1;
    self().template each_rank<Y>([&](index_t r, Gpu& gpu) {
      const index_t part = shard_index<typename Q::mesh>(Q::sharding[0], r);
      const auto used = rules::key_heads_of(mesh_value<typename Q::mesh>, Q::sharding, K::sharding, q.local_extent(2),
                                            q.extent(2) / keys.extent(2), r);
      AttentionView<typename Y::value_type, typename Q::value_type, typename K::value_type> a;
      a.batch = q.local_extent(0), a.queries = q.local_extent(1), a.heads = q.local_extent(2);
      a.key_heads = used.count, a.group = a.heads / used.count;
      a.key_width = q.local_extent(3), a.value_width = y.local_extent(3);
      a.q = q.storage().data(r), a.out = y.storage().data(r);
      a.capacity = keys.local_extent(1), a.first_slot = part * keys.local_extent(0);
      a.key_line = keys.local_extent(2) * a.key_width;
      a.keys = keys.storage().data(r) + used.first * a.key_width;
      if constexpr (values_in_keys) {
        a.values = a.keys, a.value_line = a.key_line, a.value_head = a.key_width;
      } else {
        a.value_line = values.local_extent(2) * a.value_width, a.value_head = a.value_width;
        a.values = values.storage().data(r) + used.first * a.value_width;
      }
      if constexpr (AnyTensor<Sinks>) a.sinks = sinks.storage().data(r);
      a.scale = options.scale, a.cap = std::fabs(options.cap), a.window = options.window;
      a.batch_rows = self().inputs().rows(gpu, rows) + part * a.batch;
      cuda::attention<width, values_in_keys>(gpu, a, self().terms);
    });
  }

  template <AnyTensor Y, AnyTensor X, class Rows>
  void rotary(Y& y, const X& x, const Rows& rows, const RotaryOptions& options) {
    const index_t batch = x.local_extent(0), tokens = x.local_extent(1), heads = x.local_extent(2),
                  width = x.local_extent(3);
    const RotaryTurns turns(options, width);
    self().template each_rank<Y>([&](index_t r, Gpu& gpu) {
      const index_t first = shard_index<typename X::mesh>(X::sharding[0], r) * batch;
      const index_t before = shard_index<typename X::mesh>(X::sharding[1], r) * tokens;  // those of a row elsewhere
      cuda::rotate(gpu, x.storage().data(r), y.storage().data(r), self().inputs().rows(gpu, rows) + first, before,
                   batch, tokens, heads, width, turns);
    });
  }

  template <AnyTensor C, AnyTensor X, class Rows>
  void append_to_cache(C& cache, const X& x, const Rows& rows) {
    self().template each_rank<C>([&](index_t r, Gpu& gpu) {
      cuda::append(gpu, x.storage().data(r), cache_view(cache, r), rows_of(gpu, x, rows, r), x.local_extent(0),
                   x.local_extent(1));
    });
  }

  /// rotary of queries and keys, and append_to_cache of the keys and the values, as one kernel.
  template <AnyTensor Y, AnyTensor Q, AnyTensor K, AnyTensor V, AnyTensor C, class Rows>
  requires(std::is_same_v<typename Q::value_type, typename K::value_type>&& std::is_same_v<
           typename Q::value_type, typename V::value_type>) void rotate_and_append(Y& turned, const Q& q, const K& k,
                                                                                   const V& v, C& keys, C& values,
                                                                                   const Rows& rows,
                                                                                   const RotaryOptions& options) {
    const RotaryTurns turns(options, q.local_extent(3));
    self().template each_rank<Y>([&](index_t r, Gpu& gpu) {
      cuda::rotate_and_append(gpu, q.storage().data(r), turned.storage().data(r), k.storage().data(r),
                              v.storage().data(r), cache_view(keys, r), cache_view(values, r), rows_of(gpu, q, rows, r),
                              q.local_extent(0), q.local_extent(1), q.local_extent(2), k.local_extent(2),
                              q.local_extent(3), turns);
    });
  }

  template <AnyTensor Y, AnyTensor X, class Last>
  void select_token(Y& y, const X& x, Last last) {
    const index_t rows = y.local_extent(0), width = y.local_extent(2), tokens = x.local_extent(1);
    const auto each = [&](auto token_of) {
      self().template each_rank<Y>([&](index_t r, Gpu& gpu) {
        const index_t first = shard_index<typename X::mesh>(X::sharding[0], r) * rows;
        token_of(gpu, first, [&](auto token) {
          cuda::select_token(gpu, x.storage().data(r), y.storage().data(r), token, rows, tokens, width);
        });
      });
    };
    if constexpr (requires { last.rows[0].count; }) {  // LastToken: the GPU knows
      each([&](Gpu& gpu, index_t first, auto select) {
        select(LastOfRow{self().inputs().rows(gpu, last.rows) + first});
      });
    } else {
      self().needs_host();
      std::vector<index_t> number(static_cast<std::size_t>(rows));
      each([&](Gpu& gpu, index_t first, auto select) {
        for (index_t b = 0; b < rows; ++b) number[static_cast<std::size_t>(b)] = last(first + b);
        const auto there = gpu.template scratch<index_t>(rows);
        gpu.upload(there.get(), number.data(), rows * static_cast<index_t>(sizeof(index_t)));
        select(TokenOfRow{there.get()});
      });
    }
  }

 private:
  Self& self() { return static_cast<Self&>(*this); }

  /// Those of the batch rows that x's shard r has.
  template <class X, class Rows>
  const Row* rows_of(Gpu& gpu, const X& x, const Rows& rows, index_t r) {
    return self().inputs().rows(gpu, rows) + shard_index<typename X::mesh>(X::sharding[0], r) * x.local_extent(0);
  }
  template <class C>
  static CacheView<typename C::value_type> cache_view(const C& cache, index_t r) {
    return {cache.storage().data(r), shard_index<typename C::mesh>(C::sharding[0], r) * cache.local_extent(0),
            cache.local_extent(1), cache.local_extent(2) * cache.local_extent(3)};
  }
};

}  // namespace tess::cuda
