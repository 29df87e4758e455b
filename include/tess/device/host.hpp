// Host: the CPU as a device. All shards of the mesh live in this process: one device, or a simulated mesh.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <vector>

#include "../sharding/rules/attention.hpp"
#include "device.hpp"
#include "host/apply.hpp"
#include "host/attention.hpp"
#include "host/block_verbs.hpp"
#include "host/element_verbs.hpp"
#include "host/elementwise.hpp"
#include "host/exchange.hpp"
#include "host/expert_verbs.hpp"
#include "host/gemm.hpp"
#include "host/pack.hpp"
#include "host/product_verbs.hpp"
#include "host/routing_verbs.hpp"
#include "host/storage.hpp"
#include "host/structure_verbs.hpp"
#include "host/thread_pool.hpp"
#include "host/weight_verbs.hpp"
#include "traffic.hpp"

namespace tess {

class Host : public host::WeightVerbs<Host>,
             public host::BlockVerbs<Host>,
             public host::ProductVerbs<Host>,
             public host::RoutingVerbs<Host>,
             public host::ExpertVerbs<Host>,
             public host::ElementVerbs<Host>,
             public host::StructureVerbs<Host> {
 public:
  template <class T>
  using storage = host::Storage<T>;

  /// threads = 0: one for each processor.
  explicit Host(int threads = 0)
      : pool_(std::make_unique<host::ThreadPool>(threads)), buffers_(std::make_shared<host::BufferPool>()) {}

  host::ThreadPool& pool() const { return *pool_; }
  const Traffic& traffic() const { return traffic_; }
  void reset_traffic() { traffic_ = {}; }
  /// Adds one collective: what each rank received.
  void count_collective(const host::Received& received) { traffic_.count(received); }
  /// The same of a step that is no collective where nothing moves.
  void count_step(const host::Received& received) {
    if (std::any_of(received.begin(), received.end(), [](index_t bytes) { return bytes > 0; }))
      count_collective(received);
  }

  /// One term instead of two for the activations of int8 and bf16 weights: faster in prefill, 50 to 500 times less exact.
  /// Default: exact.
  host::Activations activations = host::Activations::two_terms;

  template <class T, AnyMesh M, AnyShape L>
  storage<T> allocate(const Extents<L>& local) {
    if constexpr (is_packed<T>) return {};  // gather_weights brings its own
    else return storage<T>(host::pooled_shards(buffers_, M::size, bytes_of<T>(local)));
  }

  template <class T, AnyMesh M, AnyShape L>
  storage<T> allocate_state(const Extents<L>& local) {
    return storage<T>(host::zeroed_shards(M::size, bytes_of<T>(local)));
  }

  template <class F>
  void repeat(index_t n, F f) {
    for (index_t i = 0; i < n; ++i) f(i);
  }

  // ---- verbs

  template <class Step, AnyTensor Y, AnyTensor X>
  void collective(Step, Y& y, const X& x) {
    host::Transition step{Step::kind, mesh_value<typename X::mesh>, X::sharding, Y::sharding, {}};
    std::copy_n(x.extents().array().begin(), X::rank, step.whole.begin());
    host::Received received;
    host::carry_out(
        step, *pool_, [&](index_t r) { return y.storage().data(r); }, [&](index_t r) { return x.storage().data(r); },
        received);
    if (moves_bytes(Step::kind)) count_collective(received);
  }

  template <class F, AnyTensor Y, AnyTensor... X>
  void map(F f, Y& y, const X&... x) {
    if constexpr (!(host::computed_in_f32<typename Y::value_type> && ... &&
                    host::computed_in_f32<typename X::value_type>))
      return this->map_broadcast(f, y, x...);
    else
      each_shard<Y>([&](index_t r) {
        pool_->for_range(y.local_extents().size(), elementwise_grain,
                         [&, out = y.storage().data(r)](index_t begin, index_t end) {
                           host::apply(f, out + begin, end - begin,
                                       static_cast<const typename X::value_type*>(x.storage().data(r)) + begin...);
                         });
      });
  }

  template <AnyTensor Y, AnyTensor X, class Last>
  void select_token(Y& y, const X& x, Last last) {
    const index_t rows = y.local_extent(0), width = y.local_extent(2), tokens = x.local_extent(1);
    each_shard<Y>([&](index_t r) {
      const index_t first = shard_index<typename X::mesh>(X::sharding[0], r) * rows;
      for (index_t b = 0; b < rows; ++b)
        std::copy_n(x.storage().data(r) + (b * tokens + last(first + b)) * width, width,
                    y.storage().data(r) + b * width);
    });
  }

  template <AnyTensor Y, AnyTensor X, AnyTensor W>
  void matmul(Y& y, const X& x, const W& w) {
    each_shard<Y>([&](index_t r) { multiply(y, r, x, w.storage().matrices(r)[0]); });
  }
  template <AnyTensor Y, AnyTensor X, class T, class S, class M, class Spec>
  requires(!is_packed<T>) void matmul(Y& y, const X& x, const ShardedTensor<T, S, M, Spec, Host>& w) {
    const index_t k = w.local_extent(0), n = w.local_extent(1);
    each_shard<Y>([&](index_t r) {
      const host::Source<T> source{reinterpret_cast<const std::byte*>(w.storage().data(r)),
                                   n * static_cast<index_t>(sizeof(T))};
      multiply(y, r, x, host::pack<T>(*pool_, source, k, n));
    });
  }
  template <AnyTensor Y, AnyTensor X, AnyTensor Table>
  void matmul_rows(Y& y, const X& x, const Table& table) {
    each_shard<Y>([&](index_t r) { multiply(y, r, x, table.storage().table_of(r).columns); });
  }

  template <AnyTensor Y, AnyTensor X, AnyTensor W, AnyTensor Offsets>
  void grouped_matmul(Y& y, const X& x, const W& w, const Offsets& offsets) {
    using Matrix = typename W::storage_type::Matrix;
    using Problem = host::Problem<typename X::value_type, Matrix, typename Y::value_type>;
    const index_t k = x.local_extent(1), n = y.local_extent(1);
    each_shard<Y>([&](index_t r) {
      const auto& experts = w.storage().matrices(r);
      const i32* at = offsets.storage().data(r);
      if (static_cast<index_t>(experts.size()) != offsets.local_extent(0) - 1)
        fail("[matmul] rows are grouped for ", offsets.local_extent(0) - 1, " experts, and there are weights of ",
             experts.size(), " (MoELayer's expert_count)");
      std::vector<Problem> problems;
      for (std::size_t e = 0; e < experts.size(); ++e)
        if (at[e + 1] > at[e])
          problems.push_back({.x = x.storage().data(r) + at[e] * k,
                              .ldx = k,
                              .w = &experts[e],
                              .y = y.storage().data(r) + at[e] * n,
                              .ldy = n,
                              .rows = at[e + 1] - at[e]});
      host::matmul(*pool_, std::span<const Problem>(problems), activations);
    });
  }

  template <AnyTensor Y, AnyTensor Table, AnyTensor Ids>
  void take(Y& y, const Table& table, const Ids& ids) {
    using M = typename Y::mesh;
    const index_t width = y.local_extent(Y::rank - 1), vocabulary = table.local_extent(0);
    each_shard<Y>([&](index_t r) {
      const index_t first = shard_index<M>(Table::sharding[0], r) * vocabulary;
      const host::Table& rows = table.storage().table_of(r);
      const i32* id = ids.storage().data(r);
      for (index_t i = 0; i < ids.local_extents().size(); ++i)
        if (id[i] < 0 || id[i] >= table.extent(0))
          fail("[take] token id ", id[i], " is outside the table of ", table.extent(0), " rows");
      pool_->for_range(ids.local_extents().size(), 4, [&](index_t begin, index_t end) {
        for (index_t i = begin; i < end; ++i) {
          auto* out = y.storage().data(r) + i * width;
          if (id[i] < first || id[i] >= first + vocabulary) std::fill_n(out, width, typename Y::value_type{});
          else rows.copy_row(id[i] - first, out);
        }
      });
    });
  }

  template <AnyTensor Y, AnyTensor X>
  void sum_squares(Y& y, const X& x) {
    each_row(x, [&](index_t r, index_t row, index_t width) {
      y.storage().data(r)[row] = static_cast<f32>(host::sum_of_squares(x.storage().data(r) + row * width, width));
    });
  }
  /// y = x · rsqrt(sums / D + eps) · scale, D the whole width.
  template <AnyTensor Y, AnyTensor X, AnyTensor Sums, AnyTensor Scale>
  void rms_scale(Y& y, const X& x, const Sums& sums, const Scale& scale, f32 eps) {
    const f32 all = static_cast<f32>(x.extent(X::rank - 1));
    each_row(x, [&](index_t r, index_t row, index_t width) {
      const f32 factor = 1.0f / std::sqrt(sums.storage().data(r)[row] / all + eps);
      host::scale_row(x.storage().data(r) + row * width, scale.storage().data(r), factor,
                      y.storage().data(r) + row * width, width);
    });
  }

  template <AnyTensor Y, AnyTensor X, class Rows>
  void rotary(Y& y, const X& x, const Rows& rows, const RotaryOptions& options) {
    const index_t batch = x.local_extent(0), tokens = x.local_extent(1), heads = x.local_extent(2),
                  width = x.local_extent(3);
    const host::Rotary turn(width, options);
    each_shard<Y>([&](index_t r) {
      const index_t first = shard_index<typename X::mesh>(X::sharding[0], r) * batch;
      const index_t before = shard_index<typename X::mesh>(X::sharding[1], r) * tokens;  // those of a row elsewhere
      pool_->for_range(batch * tokens, std::max<index_t>(1, elementwise_grain / std::max<index_t>(1, heads * width)),
                       [&](index_t begin, index_t end) {
                         for (index_t i = begin; i < end; ++i) {
                           const index_t position = rows[first + i / tokens].start + before + i % tokens,
                                         at = i * heads * width;
                           turn.apply(x.storage().data(r) + at, y.storage().data(r) + at, &position, 1, heads);
                         }
                       });
    });
  }

  template <AnyTensor C, AnyTensor X, class Rows>
  void append_to_cache(C& cache, const X& x, const Rows& rows) {
    const index_t batch = x.local_extent(0), tokens = x.local_extent(1), line = x.local_extent(2) * x.local_extent(3);
    const index_t slots = cache.local_extent(0), capacity = cache.local_extent(1);
    each_shard<C>([&](index_t r) {
      const index_t part = shard_index<typename X::mesh>(X::sharding[0], r);
      for (index_t b = 0; b < batch; ++b) {
        const auto& row = rows[part * batch + b];
        std::copy_n(x.storage().data(r) + b * tokens * line, row.count * line,
                    cache.storage().data(r) + ((row.slot - part * slots) * capacity + row.start) * line);
      }
    });
  }

  template <AnyTensor Y, AnyTensor Q, AnyTensor K, class V, class Sinks, class Rows, class Options>
  void attention(Y& y, const Q& q, const K& keys, const V& values, const Sinks& sinks, const Rows& rows,
                 const Options& options) {
    const auto batch = static_cast<std::size_t>(q.local_extent(0));
    std::vector<index_t> slot(batch), start(batch), count(batch);
    each_shard<Y>([&](index_t r) {
      const index_t part = shard_index<typename Q::mesh>(Q::sharding[0], r);
      for (std::size_t b = 0; b < batch; ++b) {
        const auto& row = rows[part * q.local_extent(0) + static_cast<index_t>(b)];
        slot[b] = row.slot - part * keys.local_extent(0);
        start[b] = row.start;
        count[b] = row.count;
      }
      host::Attention<typename Y::value_type, typename Q::value_type, typename K::value_type> a;
      a.batch = q.local_extent(0), a.queries = q.local_extent(1), a.heads = q.local_extent(2),
      a.head_dim = q.local_extent(3);
      const auto used = rules::key_heads_of(mesh_value<typename Q::mesh>, Q::sharding, K::sharding, q.local_extent(2),
                                            q.extent(2) / keys.extent(2), r);
      a.slots = keys.local_extent(0), a.capacity = keys.local_extent(1);
      a.cached_heads = keys.local_extent(2), a.kv_heads = used.count;
      a.q = q.storage().data(r), a.out = y.storage().data(r);
      a.k = keys.storage().data(r) + used.first * keys.local_extent(3);
      a.value_dim = y.local_extent(3);
      if constexpr (AnyTensor<V>) {
        a.v = values.storage().data(r) + used.first * values.local_extent(3);
      } else {  // columns of the keys
        a.v = a.k;
        a.cached_value_dim = keys.local_extent(3);
      }
      if constexpr (AnyTensor<Sinks>) a.sinks = sinks.storage().data(r);
      a.slot = slot.data(), a.start = start.data(), a.count = count.data();
      a.scale = options.scale, a.cap = options.cap, a.window = options.window;
      host::attention(*pool_, a);
    });
  }

 private:
  static constexpr index_t elementwise_grain = 8192;  // elements: some microseconds, what waking a thread costs

  std::unique_ptr<host::ThreadPool> pool_;
  std::shared_ptr<host::BufferPool> buffers_;
  Traffic traffic_;

  template <AnyTensor X, class F>
  static void each_shard(F f) {
    for (index_t r = 0; r < X::mesh::size; ++r) f(r);
  }

  /// f(rank, row, width) for every row of the last dimension.
  template <AnyTensor X, class F>
  void each_row(const X& x, F f) {
    const index_t width = x.local_extent(X::rank - 1), rows = width ? x.local_extents().size() / width : 0;
    each_shard<X>([&](index_t r) {
      pool_->for_range(rows, std::max<index_t>(1, elementwise_grain / std::max<index_t>(1, width)),
                       [&](index_t begin, index_t end) {
                         for (index_t i = begin; i < end; ++i) f(r, i, width);
                       });
    });
  }

  template <AnyTensor Y, AnyTensor X, class Matrix>
  void multiply(Y& y, index_t r, const X& x, const Matrix& w) {
    using Problem = host::Problem<typename X::value_type, Matrix, typename Y::value_type>;
    const index_t k = x.local_extent(X::rank - 1), n = y.local_extent(Y::rank - 1);
    const Problem p[] = {{.x = x.storage().data(r),
                          .ldx = k,
                          .w = &w,
                          .y = y.storage().data(r),
                          .ldy = n,
                          .rows = k ? x.local_extents().size() / k : 0}};
    host::matmul(*pool_, std::span<const Problem>(p), activations);
  }
};

}  // namespace tess
