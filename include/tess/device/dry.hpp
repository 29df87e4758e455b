// Dry: the device that stores nothing. A model run on it, by the compiler or at run time, yields its bill.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <utility>

#include "../comm/step_bill.hpp"
#include "../sharding/device_bytes.hpp"
#include "../sharding/shard_bytes.hpp"
#include "device.hpp"
#include "dry/block_verbs.hpp"
#include "dry/element_verbs.hpp"
#include "dry/expert_verbs.hpp"
#include "dry/product_verbs.hpp"
#include "dry/routing_verbs.hpp"
#include "dry/structure_verbs.hpp"
#include "rotary_options.hpp"
#include "timeline.hpp"

namespace tess {

namespace detail {
/// Bytes alive, counted while some handle refers to them: the lifetimes are those of the program itself.
struct DryLive {
  index_t* live;
  index_t bytes;
  int handles;
};

/// Messages that follow one another in a collective of n devices, for the algorithms that `Host` runs.
constexpr index_t messages_of(Collective c, index_t n) {
  return !moves_bytes(c) ? 0 : c == Collective::all_reduce ? 2 * (n - 1) : n - 1;
}
/// One call of a collective, as a line of the bill.
constexpr TransferLine transfer_of(const StepBill& b) {
  return {.kind = b.kind,
          .axes = b.axes,
          .devices = b.devices,
          .between_hosts = b.between_hosts,
          .count = 1,
          .messages = b.messages,
          .bytes = b.bytes};
}
}  // namespace detail

struct Dry : dry::BlockVerbs<Dry>,
             dry::ProductVerbs<Dry>,
             dry::RoutingVerbs<Dry>,
             dry::ExpertVerbs<Dry>,
             dry::ElementVerbs<Dry>,
             dry::StructureVerbs<Dry> {
  Cost cost{};
  index_t live_bytes = 0;
  Timeline* timeline = nullptr;  // where the calls are written down, if anywhere

  template <class T>
  class storage {
   public:
    constexpr storage() = default;
    constexpr explicit storage(detail::DryLive* node) : node_(node) {}
    constexpr storage(const storage& o) : node_(o.node_), parameter_(o.parameter_), groups_(o.groups_) {
      if (node_) ++node_->handles;
    }
    constexpr storage(storage&& o) noexcept
        : node_(std::exchange(o.node_, nullptr)), parameter_(o.parameter_), groups_(o.groups_) {}
    constexpr storage& operator=(const storage& o) {
      storage copy(o);
      return *this = std::move(copy);
    }
    constexpr storage& operator=(storage&& o) noexcept {
      std::swap(node_, o.node_);
      std::swap(parameter_, o.parameter_);
      std::swap(groups_, o.groups_);
      return *this;
    }
    constexpr ~storage() {
      if (node_ && --node_->handles == 0) {
        *node_->live -= node_->bytes;
        delete node_;
      }
    }
    constexpr int parameter() const { return parameter_; }
    constexpr void set_parameter(int number) { parameter_ = number; }
    /// Of an int8 weight whose type does not say how many there are: q8<dyn>.
    constexpr index_t scale_groups() const { return groups_; }
    constexpr void set_scale_groups(index_t groups) { groups_ = groups; }

   private:
    detail::DryLive* node_ = nullptr;
    int parameter_ = -1;
    index_t groups_ = 1;
  };

  /// The storage of parameter `number`: its calls carry the number in the timeline.
  template <class T>
  static constexpr storage<T> parameter(int number) {
    storage<T> s;
    s.set_parameter(number);
    return s;
  }

  template <class T, class M, AnyShape L>
  constexpr storage<T> allocate(const Extents<L>& local) {
    const index_t bytes = bytes_of<T>(local);
    live_bytes += bytes;
    if (live_bytes > cost.peak_bytes) cost.peak_bytes = live_bytes;
    return storage<T>(new detail::DryLive{&live_bytes, bytes, 1});
  }

  template <class T, class M, AnyShape L>
  constexpr storage<T> allocate_state(const Extents<L>& local) {
    cost.cache_bytes += bytes_of<T>(local);
    return {};
  }

  /// n times the same: f runs once, since here nothing depends on values, and its cost counts n times.
  template <class F>
  constexpr void repeat(index_t n, F f) {
    const Cost before = cost;
    const std::size_t first = timeline ? timeline->events.size() : 0;
    if (n > 0) f(0);
    if (timeline && n > 0) timeline->repetitions.push_back({first, timeline->events.size(), n});
    cost.collectives += (n - 1) * (cost.collectives - before.collectives);
    cost.bytes += (n - 1) * (cost.bytes - before.bytes);
    cost.flops += (n - 1) * (cost.flops - before.flops);
    cost.transfers.repeat_since(before.transfers, n);
    cost.work.repeat_since(before.work, n);
  }

  // ---- verbs: what each costs one device. Products are FLOPs, elementwise work is not. A verb reads its operands and
  // writes its result: `moved` for those that only do that.

  template <class Step, AnyTensor Y, AnyTensor X>
  constexpr void collective(Step step, Y& y, const X& x) {
    y.storage().set_parameter(x.storage().parameter());
    if (!moves_bytes(Step::kind)) return moved(Step::kind == Collective::slice ? "slice" : "pend", y);
    transfer(detail::transfer_of(step_bill(step, y, x)), x.storage().parameter());
  }

  /// One all-gather of what a device lacks: elements, and rows of scales. The busiest device counts.
  template <AnyTensor Y, AnyTensor W>
  constexpr void gather_weights(Y& y, const W& w) {
    using M = typename W::mesh;
    TransferLine line{.kind = Collective::all_gather, .devices = 1, .count = 1};
    for (int a = 0; a < M::rank; ++a)
      if ((W::sharding.sharded() & ~Y::sharding.sharded()) >> a & 1u && M::axis_size(a) > 1) {
        line.axes |= 1u << a;
        line.devices *= M::axis_size(a);
        line.between_hosts = line.between_hosts || M::between_hosts(a);
      }
    line.messages = detail::messages_of(line.kind, line.devices);
    const index_t groups = w.storage().scale_groups();
    for (index_t r = 0; r < M::size; ++r) {
      const index_t lacking = device_bytes(y, r, groups) - device_bytes(w, r, groups);
      line.bytes = lacking > line.bytes ? lacking : line.bytes;
    }
    y.storage().set_parameter(w.storage().parameter());
    transfer(line, w.storage().parameter());
  }

  template <class F, class Y, class... X>
  constexpr void map(F, Y& y, const X&... x) {
    moved("map", y, x...);
  }
  template <class Y, class X, class Last>
  constexpr void select_token(Y& y, const X&, Last) {
    moved("select_token", y, y);
  }
  template <class Y, class X, class W>
  constexpr void matmul(Y& y, const X& x, const W& w) {
    work({.verb = "matmul",
          .flops = 2 * y.local_extents().size() * w.local_extent(0),
          .weight_bytes = shard_bytes(w),
          .activation_bytes = bytes(y, x)},
         w);
  }
  template <class Y, class X, class Table>
  constexpr void matmul_rows(Y& y, const X& x, const Table& table) {
    work({.verb = "matmul_rows",
          .flops = 2 * y.local_extents().size() * x.local_extent(X::rank - 1),
          .weight_bytes = shard_bytes(table),
          .activation_bytes = bytes(y, x)},
         table);
  }
  /// Only the weights of experts that have a row are read: at most one expert a row.
  template <class Y, class X, class W, class Offsets>
  constexpr void grouped_matmul(Y& y, const X& x, const W& w, const Offsets& offsets) {
    const index_t experts = w.local_extent(0), rows = x.local_extent(0);
    work({.verb = "grouped_matmul",
          .flops = 2 * y.local_extents().size() * w.local_extent(1),
          .weight_bytes = experts == 0 ? 0 : shard_bytes(w) / experts * (rows < experts ? rows : experts),
          .activation_bytes = bytes(y, x, offsets)},
         w);
  }
  template <class Y, class Table, class Ids>
  constexpr void take(Y& y, const Table& table, const Ids& ids) {
    using Element = unpacked_t<typename Table::value_type>;
    work({.verb = "take",
          .weight_bytes = y.local_extents().size() * static_cast<index_t>(sizeof(Element)),
          .activation_bytes = bytes(y, ids)},
         table);
  }
  template <class Y, class X>
  constexpr void sum_squares(Y& y, const X& x) {
    moved("sum_squares", y, x);
  }
  template <class Y, class X, class Sums, class Scale>
  constexpr void rms_scale(Y& y, const X& x, const Sums& sums, const Scale& scale, f32) {
    work({.verb = "rms_scale", .weight_bytes = shard_bytes(scale), .activation_bytes = bytes(y, x, sums)}, scale);
  }
  template <class Y, class X, class Rows>
  constexpr void rotary(Y& y, const X& x, const Rows&, const RotaryOptions&) {
    moved("rotary", y, x);
  }
  template <class C, class X, class Rows>
  constexpr void append_to_cache(C&, const X& x, const Rows&) {
    work({.verb = "append_to_cache",
          .cache_bytes = x.local_extents().size() * static_cast<index_t>(sizeof(typename C::value_type)),
          .activation_bytes = bytes(x)});
  }

  /// Query t of a row meets start + t + 1 keys, or those of its window, twice: scores and values. Keys are read once, and
  /// so are values that are none of their columns. The busiest device counts.
  template <class Y, class Q, class K, class V, class Sinks, class Rows, class Options>
  constexpr void attention(Y& y, const Q& q, const K& k, const V& v, const Sinks& sinks, const Rows& rows,
                           const Options& options) {
    const auto met = [w = options.window](index_t n) {  // keys, by the queries at positions 0 … n - 1
      return w > 0 && n > w ? w * (w + 1) / 2 + (n - w) * w : n * (n + 1) / 2;
    };
    index_t most_pairs = 0, most_keys = 0;
    for (index_t first = 0; first < rows.size(); first += q.local_extent(0)) {
      index_t pairs = 0, keys = 0;
      for (index_t b = first; b < first + q.local_extent(0); ++b) {
        const index_t start = rows[b].start, end = start + rows[b].count;
        pairs += met(end) - met(start);
        if (end > start) keys += options.window > 0 && start >= options.window ? end - start + options.window - 1 : end;
      }
      most_pairs = pairs > most_pairs ? pairs : most_pairs;
      most_keys = keys > most_keys ? keys : most_keys;
    }
    index_t position = k.local_extent(2) * k.local_extent(3) * static_cast<index_t>(sizeof(typename K::value_type));
    if constexpr (AnyTensor<V>)
      position += v.local_extent(2) * v.local_extent(3) * static_cast<index_t>(sizeof(typename V::value_type));
    WorkLine line{.verb = "attention",
                  .flops = 2 * most_pairs * q.local_extent(2) * (q.local_extent(3) + y.local_extent(3)),
                  .cache_bytes = most_keys * position,
                  .activation_bytes = bytes(y, q)};
    if constexpr (AnyTensor<Sinks>) {
      line.weight_bytes = shard_bytes(sinks);
      work(line, sinks);
    } else {
      work(line);
    }
  }

  // ---- how a verb writes itself into the bill

  /// One call of a verb; `parameter` is the number of the one that it reads.
  constexpr void work(WorkLine line, int parameter = -1) {
    line.count = 1;
    cost.flops += line.flops;
    cost.work.add(line);
    if (timeline) timeline->events.push_back({line, {}, parameter});
  }
  template <AnyTensor W>
  constexpr void work(const WorkLine& line, const W& w) {
    work(line, w.storage().parameter());
  }
  /// One call that moves bytes.
  constexpr void transfer(const TransferLine& line, int parameter = -1) {
    ++cost.collectives;
    cost.bytes += line.bytes;
    cost.transfers.add(line);
    if (timeline) timeline->events.push_back({{}, line, parameter});
  }

 private:
  template <class... X>
  static constexpr index_t bytes(const X&... x) {
    return (shard_bytes(x) + ...);
  }
  template <class... X>
  constexpr void moved(std::string_view verb, const X&... x) {
    work({.verb = verb, .activation_bytes = bytes(x...)});
  }
};

}  // namespace tess
