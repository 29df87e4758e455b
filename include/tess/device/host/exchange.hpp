// The collectives of a simulated mesh: each device copies what it lacks from its group, and every byte is counted.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cstring>
#include <vector>

#include "../../comm/collectives.hpp"
#include "../../sharding/device_slice.hpp"
#include "../../sharding/sharded_tensor.hpp"

namespace tess::host {

/// A dense local array seen as [outer, extent(dim), inner].
struct Cut {
  index_t outer = 1, extent = 1, inner = 1;
};
template <AnyShape L>
constexpr Cut cut(const Extents<L>& e, int dim) {
  Cut c;
  for (int d = 0; d < L::rank; ++d) (d < dim ? c.outer : d == dim ? c.extent : c.inner) *= e[d];
  return c;
}

/// Bytes that each rank received from other ranks.
using Received = std::vector<index_t>;

/// Runs one collective for every rank of mesh M. Sums are taken in the order of the ranks, so all devices hold equal
/// bits.
template <AnyMesh M, class A>
class Exchange {
  static constexpr int axis = M::template axis_index<A>;
  static constexpr index_t n = M::axis_size(axis);

 public:
  explicit Exchange(Received& received) : received_(received) {}

  template <int Dim, class Y, class X>
  void operator()(Slice<A, Dim>, Y& y, const X& x) {
    const Cut from = cut(x.local_extents(), Dim), to = cut(y.local_extents(), Dim);
    for (index_t r = 0; r < M::size; ++r)
      copy(y.storage().data(r), to, 0, x.storage().data(r), from, M::coordinate(r, axis) * to.extent, to.extent);
  }

  template <int Dim, class Y, class X>
  void operator()(AllGather<A, Dim>, Y& y, const X& x) {
    const Cut from = cut(x.local_extents(), Dim), to = cut(y.local_extents(), Dim);
    each_pair([&](index_t r, index_t peer, index_t c) {
      copy(y.storage().data(r), to, c * from.extent, x.storage().data(peer), from, 0, from.extent);
      count(r, peer, x.local_extents().size() * bytes<X>);
    });
  }

  /// The peer's part of dimension To becomes this rank's; the parts are put together along dimension From.
  template <int From, int To, class Y, class X>
  void operator()(AllToAll<A, From, To>, Y& y, const X& x) {
    constexpr int low = From < To ? From : To, high = From < To ? To : From;
    const auto& xe = x.local_extents();
    const auto& ye = y.local_extents();
    const Cut xl = cut(xe, low), yl = cut(ye, low), xh = cut(xe, high), yh = cut(ye, high);
    const index_t middle = xl.inner / (xh.extent * xh.inner);  // between the two dimensions
    const index_t rows = std::min(xl.extent, yl.extent), columns = std::min(xh.extent, yh.extent);
    each_pair([&](index_t r, index_t peer, index_t c) {
      const index_t own = M::coordinate(r, axis);
      const index_t x_low = From == low ? 0 : own * rows, x_high = From == high ? 0 : own * columns;
      const index_t y_low = From == low ? c * rows : 0, y_high = From == high ? c * columns : 0;
      for (index_t o = 0; o < xl.outer; ++o)
        for (index_t i = 0; i < rows; ++i)
          for (index_t m = 0; m < middle; ++m) {
            const auto* s =
                x.storage().data(peer) + (((o * xl.extent + x_low + i) * middle + m) * xh.extent + x_high) * xh.inner;
            auto* t =
                y.storage().data(r) + (((o * yl.extent + y_low + i) * middle + m) * yh.extent + y_high) * yh.inner;
            std::memcpy(t, s, static_cast<std::size_t>(columns * xh.inner) * sizeof(*s));
          }
      count(r, peer, x.local_extents().size() / n * bytes<X>);
    });
  }

  template <int Dim, class Y, class X>
  void operator()(ReduceScatter<A, Dim>, Y& y, const X& x) {
    const Cut from = cut(x.local_extents(), Dim), to = cut(y.local_extents(), Dim);
    const index_t run = to.extent * to.inner;
    for (index_t r = 0; r < M::size; ++r) {
      const index_t own = M::coordinate(r, axis);
      for (index_t c = 0; c < n; ++c) {
        const index_t peer = member(r, c);
        for (index_t o = 0; o < to.outer; ++o)
          add(y.storage().data(r) + o * run, x.storage().data(peer) + (o * from.extent + own * to.extent) * from.inner,
              run, c == 0);
        count(r, peer, x.local_extents().size() / n * bytes<X>);
      }
    }
  }

  /// Reduce-scatter of even chunks, then all-gather of them. Chunk i of L elements is [i L / n, (i + 1) L / n), rounded
  /// up.
  template <class Y, class X>
  void operator()(AllReduce<A>, Y& y, const X& x) {
    const index_t size = x.local_extents().size(), chunk = (size + n - 1) / n;
    auto begin = [&](index_t c) { return std::min(size, c * chunk); };
    for (index_t r = 0; r < M::size; ++r) {
      const index_t own = M::coordinate(r, axis), b = begin(own), e = begin(own + 1);
      for (index_t c = 0; c < n; ++c) {
        const index_t peer = member(r, c);
        add(y.storage().data(r) + b, x.storage().data(peer) + b, e - b, c == 0);
        count(r, peer, (e - b) * bytes<X>);
      }
    }
    each_pair([&](index_t r, index_t peer, index_t c) {
      if (r == peer) return;
      const index_t b = begin(c), e = begin(c + 1);
      std::copy(y.storage().data(peer) + b, y.storage().data(peer) + e, y.storage().data(r) + b);
      count(r, peer, (e - b) * bytes<X>);
    });
  }

 private:
  Received& received_;

  template <class X>
  static constexpr index_t bytes = static_cast<index_t>(sizeof(typename X::value_type));

  /// The rank whose coordinate along the axis is c, in the group of rank r.
  static constexpr index_t member(index_t r, index_t c) { return r + (c - M::coordinate(r, axis)) * M::stride(axis); }

  template <class F>
  void each_pair(F f) {
    for (index_t r = 0; r < M::size; ++r)
      for (index_t c = 0; c < n; ++c) f(r, member(r, c), c);
  }
  void count(index_t rank, index_t peer, index_t amount) {
    if (rank != peer) received_[static_cast<std::size_t>(rank)] += amount;
  }
  template <class T>
  static void copy(T* to, const Cut& t, index_t to_at, const T* from, const Cut& f, index_t from_at, index_t extent) {
    for (index_t o = 0; o < t.outer; ++o)
      std::copy_n(from + (o * f.extent + from_at) * f.inner, extent * f.inner, to + (o * t.extent + to_at) * t.inner);
  }
  template <class T>
  static void add(T* to, const T* from, index_t size, bool first) {
    if (first) std::copy_n(from, size, to);
    else
      for (index_t i = 0; i < size; ++i) to[i] = T(to[i] + from[i]);
  }
};

}  // namespace tess::host
