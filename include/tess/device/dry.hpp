// Dry: the device that stores nothing. A model run on it, by the compiler or at run time, yields its bill.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <utility>

#include "../comm/collectives.hpp"
#include "device.hpp"

namespace tess {

namespace detail {
/// Bytes alive, counted while some handle refers to them: the lifetimes are those of the program itself.
struct DryLive {
  index_t* live;
  index_t bytes;
  int handles;
};
}  // namespace detail

struct Dry {
  Cost cost{};
  index_t live_bytes = 0;

  template <class T>
  class storage {
   public:
    constexpr storage() = default;
    constexpr explicit storage(detail::DryLive* node) : node_(node) {}
    constexpr storage(const storage& o) : node_(o.node_) {
      if (node_) ++node_->handles;
    }
    constexpr storage(storage&& o) noexcept : node_(std::exchange(o.node_, nullptr)) {}
    constexpr storage& operator=(const storage& o) {
      storage copy(o);
      std::swap(node_, copy.node_);
      return *this;
    }
    constexpr storage& operator=(storage&& o) noexcept {
      std::swap(node_, o.node_);
      return *this;
    }
    constexpr ~storage() {
      if (node_ && --node_->handles == 0) {
        *node_->live -= node_->bytes;
        delete node_;
      }
    }

   private:
    detail::DryLive* node_ = nullptr;
  };

  template <class T, class M, AnyShape L>
  constexpr storage<T> allocate(const Extents<L>& local) {
    const index_t bytes = bytes_of<T>(local);
    live_bytes += bytes;
    if (live_bytes > cost.peak_bytes) cost.peak_bytes = live_bytes;
    return storage<T>(new detail::DryLive{&live_bytes, bytes, 1});
  }

  template <class T, class M, AnyShape L>
  constexpr storage<T> allocate_state(const Extents<L>&) {
    return {};
  }

  /// n times the same: f runs once, since here nothing depends on values, and its cost counts n times.
  template <class F>
  constexpr void repeat(index_t n, F f) {
    const Cost before = cost;
    if (n > 0) f(0);
    cost.collectives += (n - 1) * (cost.collectives - before.collectives);
    cost.bytes += (n - 1) * (cost.bytes - before.bytes);
    cost.flops += (n - 1) * (cost.flops - before.flops);
  }

  // ---- verbs: what each costs one device. Elementwise work is not counted as FLOPs; products are.

  template <class Step, AnyTensor Y, AnyTensor X>
  constexpr void collective(Step, Y&, const X& x) {
    using M = typename X::mesh;
    constexpr index_t devices = M::axis_size(M::template axis_index<typename Step::axis>);
    if (Step::kind != Collective::slice) ++cost.collectives;
    cost.bytes += received_elements(Step::kind, x.local_extents().size(), devices) *
                  static_cast<index_t>(sizeof(typename X::value_type));
  }

  template <class F, class Y, class... X>
  constexpr void map(F, Y&, const X&...) {}
  template <class Y, class X, class B>
  constexpr void add_bias(Y&, const X&, const B&) {}
  template <class Y, class X, class Last>
  constexpr void select_token(Y&, const X&, Last) {}
  template <class Y, class X, class W>
  constexpr void matmul(Y& y, const X&, const W& w) {
    multiply_adds(y.local_extents().size() * w.local_extent(0));
  }
  template <class Y, class X, class Table>
  constexpr void matmul_rows(Y& y, const X& x, const Table&) {
    multiply_adds(y.local_extents().size() * x.local_extent(X::rank - 1));
  }
  template <class Y, class X, class W, class Offsets>
  constexpr void grouped_matmul(Y& y, const X&, const W& w, const Offsets&) {
    multiply_adds(y.local_extents().size() * w.local_extent(1));
  }
  template <class Y, class Table, class Ids>
  constexpr void take(Y&, const Table&, const Ids&) {}
  template <class Y, class X>
  constexpr void sum_squares(Y&, const X&) {}
  template <class Y, class X, class Sums, class Scale>
  constexpr void rms_scale(Y&, const X&, const Sums&, const Scale&, f32) {}
  template <class Y, class X, class Rows>
  constexpr void rotary(Y&, const X&, const Rows&, f32) {}
  template <class C, class X, class Rows>
  constexpr void append_to_cache(C&, const X&, const Rows&) {}

  /// Query t of a row meets start + t + 1 keys, twice: scores and values. The busiest device counts.
  template <class Y, class Q, class K, class V, class Rows, class Options>
  constexpr void attention(Y&, const Q& q, const K&, const V&, const Rows& rows, const Options&) {
    index_t most = 0;
    for (index_t first = 0; first < rows.size(); first += q.local_extent(0)) {
      index_t pairs = 0;
      for (index_t b = first; b < first + q.local_extent(0); ++b)
        pairs += rows[b].count * rows[b].start + rows[b].count * (rows[b].count + 1) / 2;
      most = pairs > most ? pairs : most;
    }
    multiply_adds(2 * most * q.local_extent(2) * q.local_extent(3));
  }

  template <class Ids, class Weights, class Logits, class Choose>
  constexpr void route(Ids&, Weights&, const Logits&, Choose) {}
  template <class Rows, class Positions, class Offsets, class X, class Ids>
  constexpr void dispatch(Rows&, Positions&, Offsets&, const X&, const Ids&) {}
  template <class Y, class Rows, class Positions, class Weights>
  constexpr void combine(Y&, const Rows&, const Positions&, const Weights&) {}

 private:
  constexpr void multiply_adds(index_t n) { cost.flops += 2 * n; }
};

}  // namespace tess
