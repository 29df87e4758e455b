// Movement: which elements each device takes from which device when a tensor changes its spec; exact, and known to the
// compiler.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../sharding/device_slice.hpp"
#include "collectives.hpp"

namespace tess {

/// All extents of a tensor; the first `rank` count.
using AllExtents = std::array<index_t, static_cast<std::size_t>(max_rank)>;

/// A part of a tensor, in indices of the whole.
struct Box {
  int rank = 0;
  std::array<Range, static_cast<std::size_t>(max_rank)> range{};

  constexpr Range& operator[](int d) { return range[static_cast<std::size_t>(d)]; }
  constexpr const Range& operator[](int d) const { return range[static_cast<std::size_t>(d)]; }
  constexpr bool operator==(const Box&) const = default;
  constexpr index_t size() const {
    index_t n = 1;
    for (int d = 0; d < rank; ++d) n *= (*this)[d].size();
    return n;
  }
};

/// What `device` holds under spec s. (`device_slice`, over values.)
constexpr Box shard_box(const MeshValue& m, const SpecValue& s, const AllExtents& whole, index_t device) {
  Box b;
  b.rank = s.rank;
  for (int d = 0; d < s.rank; ++d) {
    const index_t size = whole[static_cast<std::size_t>(d)] / parts(m, s[d]);
    const index_t first = shard_index(m, s[d], device) * size;
    b[d] = {first, first + size};
  }
  return b;
}

namespace detail {
/// Where the copies of a shard are, each device of a group takes another one. Axes that come to shard something choose
/// the copy: their own coordinate, plus a number made of the axes that cease to. Where as many come as cease this pairs
/// every giver with one taker (d = (x, y) takes shard y from (y, y + x)). Between hosts the own host's copy is the best.
struct Copies {
  unsigned coming = 0, ceasing = 0;
};
constexpr Copies copies_of(const MeshValue& m, const SpecValue& from, const SpecValue& to) {
  const unsigned before = from.sharded(), after = to.sharded();
  return {after & ~before & ~m.between_hosts, before & ~after};
}
constexpr index_t number_over(const MeshValue& m, unsigned axes, index_t device) {
  index_t at = 0;
  for (int a = 0; a < m.rank; ++a)
    if (axes >> a & 1u) at = at * m.size(a) + m.coordinate(device, a);
  return at;
}
/// `device` with another number over these axes.
constexpr index_t renumbered(const MeshValue& m, unsigned axes, index_t device, index_t number) {
  for (int a = m.rank - 1; a >= 0; --a)
    if (axes >> a & 1u) {
      device += (number % m.size(a) - m.coordinate(device, a)) * m.stride(a);
      number /= m.size(a);
    }
  return device;
}
/// `device` with the coordinates at which shard `index` of a dimension lies.
constexpr index_t at_shard(const MeshValue& m, const DimAxes& axes, index_t device, index_t index) {
  for (int i = axes.count - 1; i >= 0; --i) {
    device += (index % m.size(axes[i]) - m.coordinate(device, axes[i])) * m.stride(axes[i]);
    index /= m.size(axes[i]);
  }
  return device;
}
}  // namespace detail

/// Calls f(peer, box) for every part of its new shard that `device` takes, from itself too: what it holds already it
/// takes from nobody else. The boxes cover the new shard, each element once.
template <class F>
constexpr void for_each_piece(const MeshValue& m, const SpecValue& from, const SpecValue& to, const AllExtents& whole,
                              index_t device, F f) {
  const Box wanted = shard_box(m, to, whole, device);
  if (wanted.size() == 0) return;
  const detail::Copies copies = detail::copies_of(m, from, to);
  const index_t turned =
      (detail::number_over(m, copies.coming, device) + detail::number_over(m, copies.ceasing, device));
  index_t places = 1;
  for (int a = 0; a < m.rank; ++a)
    if (copies.coming >> a & 1u) places *= m.size(a);
  const index_t elsewhere = detail::renumbered(m, copies.coming, device, turned % places);

  std::array<index_t, static_cast<std::size_t>(max_rank)> size{}, first{}, last{}, at{};  // of shards, by dimension
  for (int d = 0; d < from.rank; ++d) {
    const auto i = static_cast<std::size_t>(d);
    size[i] = whole[i] / parts(m, from[d]);
    at[i] = first[i] = wanted[d].begin / size[i];
    last[i] = (wanted[d].end - 1) / size[i];
  }
  for (;;) {
    Box piece;
    piece.rank = from.rank;
    index_t peer = elsewhere;
    bool own = true;
    for (int d = 0; d < from.rank; ++d) {
      const auto i = static_cast<std::size_t>(d);
      const index_t begin = at[i] * size[i], end = begin + size[i];
      piece[d] = {begin > wanted[d].begin ? begin : wanted[d].begin, end < wanted[d].end ? end : wanted[d].end};
      own = own && at[i] == shard_index(m, from[d], device);
      peer = detail::at_shard(m, from[d], peer, at[i]);
    }
    f(own ? device : peer, piece);
    int d = from.rank - 1;
    for (; d >= 0 && at[static_cast<std::size_t>(d)] == last[static_cast<std::size_t>(d)]; --d)
      at[static_cast<std::size_t>(d)] = first[static_cast<std::size_t>(d)];
    if (d < 0) return;
    ++at[static_cast<std::size_t>(d)];
  }
}

/// Elements that `device` lacks: |target \ source|. Source of the bound: what a device needs and nobody sent it, it does
/// not have, whatever the algorithm.
constexpr index_t lacking_elements(const MeshValue& m, const SpecValue& from, const SpecValue& to,
                                   const AllExtents& whole, index_t device) {
  const Box wanted = shard_box(m, to, whole, device), held = shard_box(m, from, whole, device);
  index_t both = 1;
  for (int d = 0; d < from.rank; ++d) {
    const index_t begin = wanted[d].begin > held[d].begin ? wanted[d].begin : held[d].begin;
    const index_t end = wanted[d].end < held[d].end ? wanted[d].end : held[d].end;
    both *= end > begin ? end - begin : 0;
  }
  return wanted.size() - both;
}

}  // namespace tess
