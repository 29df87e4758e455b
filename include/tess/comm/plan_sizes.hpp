// A question to the planner, and the arithmetic of its answers: shards, prices, and what a device lacks.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <numeric>

#include "collectives.hpp"
#include "layout.hpp"
#include "links.hpp"

namespace tess {

/// What is asked of the planner. Static extents must divide wherever an axis goes; where an extent is `dyn`, only as far
/// as source and target promise.
struct PlanProblem {
  MeshValue mesh;
  SpecValue source, target;  // without axes of size 1 and marks: `placement`
  std::array<index_t, static_cast<std::size_t>(max_rank)> extents{};
  index_t element_bytes = 4;
  Links links = FewestBytes::links;
};

namespace detail {

/// The sizes of a problem as the search needs them.
class PlanSizes {
 public:
  constexpr explicit PlanSizes(const PlanProblem& p) : mesh_(p.mesh), links_(p.links), bytes_(p.element_bytes) {
    index_t typical = p.mesh.devices();  // of the first run-time extent, to weigh by
    for (int d = 0; d < p.source.rank; ++d) {
      const auto i = static_cast<std::size_t>(d);
      const bool known = p.extents[i] != dyn;
      divisible_[i] = known ? p.extents[i] : std::lcm(parts(p.mesh, p.source[d]), parts(p.mesh, p.target[d]));
      whole_ *= divisible_[i] * (known ? 1 : typical);
      if (!known) typical = 1;
    }
    // Ticks of plans for the largest tensors fit, at the price of their finest differences.
    const index_t dearest = links_.within.byte > links_.between.byte ? links_.within.byte : links_.between.byte;
    for (index_t room = (index_t{1} << 59) / bytes_ / (whole_ > 0 ? whole_ : 1), byte = dearest;
         byte > room && byte > 1; byte /= 2)
      links_.within.byte = (links_.within.byte + 1) / 2, links_.between.byte = (links_.between.byte + 1) / 2;
  }

  constexpr const Links& links() const { return links_; }
  /// The price of one element less or more.
  constexpr index_t element() const { return bytes_ * links_.within.byte; }
  constexpr index_t size(int axis) const { return mesh_.size(axis); }
  constexpr bool alike(int a, int b) const {
    return size(a) == size(b) && (mesh_.between_hosts >> a & 1u) == (mesh_.between_hosts >> b & 1u);
  }
  constexpr bool has_hosts() const { return mesh_.between_hosts != 0; }
  constexpr index_t product(unsigned long long list, int count) const {
    index_t n = 1;
    for (; count > 0; --count, list >>= 4) n *= mesh_.size(static_cast<int>(list & 15u));
    return n;
  }
  constexpr index_t product_of(unsigned mask) const {
    index_t n = 1;
    for (int a = 0; mask != 0; ++a, mask >>= 1)
      if (mask & 1u) n *= mesh_.size(a);
    return n;
  }
  constexpr index_t parts_of(const Layout& l, int d) const { return product(l.list(d), l.count(d)); }
  /// Elements of a shard.
  constexpr index_t local(const Layout& l) const {
    return whole_ / product(l.digits, l.start(max_rank - 1) + l.count(max_rank - 1));
  }
  /// How often dimension d can be cut further.
  constexpr index_t room(const Layout& l, int d) const {
    return divisible_[static_cast<std::size_t>(d)] / parts_of(l, d);
  }

  /// A collective in which a device receives `elements` in `messages` from a group over `axes`.
  constexpr index_t price(index_t elements, index_t messages, unsigned axes) const {
    const index_t bytes = elements * bytes_;
    if ((axes & mesh_.between_hosts) == 0)
      return links_.call + messages * links_.within.message + bytes * links_.within.byte;
    const index_t n = product_of(axes), outside = n - product_of(axes & ~mesh_.between_hosts);
    const index_t far = messages * outside / (n - 1), far_bytes = bytes * outside / (n - 1);
    return links_.call + (messages - far) * links_.within.message + far * links_.between.message +
           (bytes - far_bytes) * links_.within.byte + far_bytes * links_.between.byte;
  }
  /// What nothing that moves `elements` costs less than.
  constexpr index_t at_least(index_t elements) const {
    if (elements == 0) return 0;
    const Link &near = links_.within, &far = links_.between;
    if (!has_hosts()) return links_.call + near.message + elements * bytes_ * near.byte;
    return links_.call + (near.message < far.message ? near.message : far.message) +
           elements * bytes_ * (near.byte < far.byte ? near.byte : far.byte);
  }

 private:
  MeshValue mesh_;
  Links links_;
  index_t bytes_, whole_ = 1;
  std::array<index_t, static_cast<std::size_t>(max_rank)> divisible_{};
};

/// Do the axes of some dimension differ before either list ends? Then a device may hold nothing of what it needs: the
/// first digits that differ run over different axes, so somewhere they are the first and the last.
constexpr bool conflict(const Layout& a, const Layout& b, int rank) {
  unsigned long long x = a.digits, y = b.digits;
  unsigned ms = a.counts, ns = b.counts;
  for (int d = 0; d < rank; ++d, ms >>= 4, ns >>= 4) {
    const int m = static_cast<int>(ms & 15u), n = static_cast<int>(ns & 15u), both = m < n ? m : n;
    if (((x ^ y) & ((1ull << 4 * both) - 1)) != 0) return true;
    x >>= 4 * m, y >>= 4 * n;
  }
  return false;
}

/// Elements that the device with the worst luck must receive on the way between two layouts with the same pending axes
/// and shards of `held` and `wanted` elements: max over devices of |target \ source|.
constexpr index_t lacking(const PlanSizes& sizes, const Layout& from, index_t held, const Layout& to, index_t wanted,
                          int rank) {
  unsigned long long x = from.digits, y = to.digits;
  unsigned ms = from.counts, ns = to.counts;
  index_t cuts = 1;  // by which the target cuts finer than the source
  for (int d = 0; d < rank; ++d, ms >>= 4, ns >>= 4) {
    const int m = static_cast<int>(ms & 15u), n = static_cast<int>(ns & 15u), both = m < n ? m : n;
    if (((x ^ y) & ((1ull << 4 * both) - 1)) != 0) return wanted;
    if (n > m) cuts *= sizes.product(y >> 4 * m, n - m);
    x >>= 4 * m, y >>= 4 * n;
  }
  return wanted - held / cuts;
}

/// The devices from which one device receives, at most.
constexpr index_t peers(const PlanSizes& sizes, const Layout& from, const Layout& to, int rank) {
  index_t n = 1;
  for (int d = 0; d < rank; ++d) {
    const index_t s = sizes.parts_of(from, d), t = sizes.parts_of(to, d);
    index_t most = 1;
    for (index_t i = 0; i < t; ++i) {
      const index_t first = i * s / t, last = ((i + 1) * s - 1) / t;
      most = last - first + 1 > most ? last - first + 1 : most;
    }
    n *= most;
  }
  return conflict(from, to, rank) ? n : n - 1;
}

}  // namespace detail
}  // namespace tess
