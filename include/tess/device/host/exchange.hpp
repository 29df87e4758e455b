// The collectives of a simulated mesh: each device takes what it lacks from the others, and every byte is counted.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "../transition.hpp"
#include "thread_pool.hpp"

namespace tess::host {

using tess::Received;
using tess::Transition;

namespace detail {

/// Calls f(to, from, run) with offsets into two shards for every contiguous run of `part`, which both hold.
template <class F>
void for_each_run(const Box& part, const Box& to, const Box& from, F f) {
  if (part.size() == 0) return;
  int inner = part.rank - 1;  // from here on rows are whole in both shards, and so one run
  index_t run = 1;
  for (; inner >= 0; --inner) {
    run *= part[inner].size();
    if (part[inner] != to[inner] || part[inner] != from[inner]) break;
  }
  inner = std::max(inner, 0);
  index_t to_at = 0, from_at = 0, to_stride = 1, from_stride = 1;
  std::array<index_t, static_cast<std::size_t>(max_rank)> at{}, to_step{}, from_step{};
  for (int d = part.rank - 1; d >= 0; --d) {
    const auto i = static_cast<std::size_t>(d);
    to_at += (part[d].begin - to[d].begin) * to_stride, from_at += (part[d].begin - from[d].begin) * from_stride;
    to_step[i] = to_stride, from_step[i] = from_stride;
    to_stride *= to[d].size(), from_stride *= from[d].size();
  }
  for (;;) {
    f(to_at, from_at, run);
    int d = inner - 1;
    for (; d >= 0; --d) {
      const auto i = static_cast<std::size_t>(d);
      to_at += to_step[i], from_at += from_step[i];
      if (++at[i] < part[d].size()) break;
      to_at -= at[i] * to_step[i], from_at -= at[i] * from_step[i], at[i] = 0;
    }
    if (d < 0) return;
  }
}

template <class T>
void combine(Reduction kind, T* to, const T* from, index_t n) {
  if (kind == Reduction::sum)
    for (index_t i = 0; i < n; ++i) to[i] = T(to[i] + from[i]);
  else if (kind == Reduction::max)  // NaN wins, as in lines::Max
    for (index_t i = 0; i < n; ++i) to[i] = to[i] < from[i] || from[i] != from[i] ? from[i] : to[i];
  else
    for (index_t i = 0; i < n; ++i) to[i] = from[i] < to[i] || from[i] != from[i] ? from[i] : to[i];
}

using tess::group_of;

template <class To, class From>
void move_pieces(const Transition& t, index_t r, const To& to, const From& from, index_t& received) {
  const Box mine = shard_box(t.mesh, t.to, t.whole, r);
  for_each_piece(t.mesh, t.from, t.to, t.whole, r, [&](index_t peer, const Box& piece) {
    const auto* in = from(peer);
    auto* out = to(r);
    for_each_run(piece, mine, shard_box(t.mesh, t.from, t.whole, peer), [&](index_t at, index_t src, index_t run) {
      std::memcpy(out + at, in + src, static_cast<std::size_t>(run) * sizeof(*in));
    });
    if (peer != r) received += piece.size() * static_cast<index_t>(sizeof(*in));
  });
}

template <class To, class From>
void scatter_sum(const Transition& t, unsigned axes, index_t r, const To& to, const From& from, index_t& received) {
  const Box mine = shard_box(t.mesh, t.to, t.whole, r), all = shard_box(t.mesh, t.from, t.whole, r);
  bool first = true;
  for (const index_t peer : group_of(t.mesh, axes, r)) {
    const auto* in = from(peer);
    auto* out = to(r);
    for_each_run(mine, mine, all, [&](index_t at, index_t src, index_t run) {
      if (first) std::copy_n(in + src, run, out + at);
      else combine(t.from.kind, out + at, in + src, run);
    });
    first = false;
    if (peer != r) received += mine.size() * static_cast<index_t>(sizeof(*in));
  }
}

/// Chunk by chunk. The leader of each group writes for everybody: all devices hold equal bits.
template <class To, class From>
void sum_everywhere(const Transition& t, unsigned axes, index_t r, const To& to, const From& from, Received& received) {
  const std::vector<index_t> group = group_of(t.mesh, axes, r);
  if (group[0] != r) return;
  const Chunks chunks{shard_box(t.mesh, t.from, t.whole, r).size(), static_cast<index_t>(group.size())};
  for (index_t own = 0; own < chunks.count; ++own) {
    const index_t b = chunks.begin(own), e = chunks.end(own);
    auto* out = to(group[static_cast<std::size_t>(own)]);
    bool first = true;
    for (const index_t peer : group) {
      if (first) std::copy(from(peer) + b, from(peer) + e, out + b);
      else combine(t.from.kind, out + b, from(peer) + b, e - b);
      first = false;
    }
    for (const index_t peer : group)
      if (to(peer) != out) std::copy(out + b, out + e, to(peer) + b);
    received[static_cast<std::size_t>(group[static_cast<std::size_t>(own)])] +=
        chunks.received(own) * static_cast<index_t>(sizeof(*out));
  }
}

/// Every element stays with one device of each group over `axes`: of a shard with its owner, of copies with the first.
template <class To, class From>
void keep_once(const Transition& t, unsigned axes, index_t r, const To& to, const From& from) {
  const Box all = shard_box(t.mesh, t.to, t.whole, r), mine = shard_box(t.mesh, t.from, t.whole, r);
  auto* out = to(r);
  std::fill_n(out, all.size(), neutral<std::remove_cvref_t<decltype(*out)>>(t.to.kind));
  if (tess::detail::number_over(t.mesh, axes & ~t.from.sharded(), r) != 0) return;
  for_each_run(mine, all, mine,
               [&](index_t at, index_t src, index_t run) { std::copy_n(from(r) + src, run, out + at); });
}
}  // namespace detail

/// Runs one step for every device of the mesh: `from(r)` and `to(r)` are its shards before and after. What each device
/// receives is added to `received`. Sums are taken in the order of the devices, so that all copies hold equal bits.
template <class To, class From>
void carry_out(const Transition& t, ThreadPool& pool, const To& to, const From& from, Received& received) {
  const index_t devices = t.mesh.devices();
  if (received.size() < static_cast<std::size_t>(devices)) received.resize(static_cast<std::size_t>(devices));
  const unsigned axes = t.reduced_axes();
  constexpr index_t worth_a_thread = 1 << 16;  // elements: some ten microseconds, what waking one costs
  const index_t size = std::max<index_t>(1, shard_box(t.mesh, t.to, t.whole, 0).size());
  pool.for_range(devices, std::max<index_t>(1, worth_a_thread / size), [&](index_t begin, index_t end) {
    for (index_t r = begin; r < end; ++r) {
      index_t& mine = received[static_cast<std::size_t>(r)];
      if (t.what == Collective::reduce_scatter) detail::scatter_sum(t, axes, r, to, from, mine);
      else if (t.what == Collective::all_reduce) detail::sum_everywhere(t, axes, r, to, from, received);
      else if (t.what == Collective::pend) detail::keep_once(t, t.to.partial & ~t.from.partial, r, to, from);
      else detail::move_pieces(t, r, to, from, mine);
    }
  });
}

}  // namespace tess::host
