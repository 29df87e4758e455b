// The search for the cheapest chain of collectives from one spec to another: A* over layouts, on plain values.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "plan_sizes.hpp"

namespace tess {

namespace detail {

/// A step of the search: which collective, over which axes, from and to which dimension.
struct Move {
  Collective what = Collective::slice;
  signed char from = 0, to = 0;
  int count = 0;                // axes
  unsigned long long axes = 0;  // major lowest
};

/// A*: the estimate of what is left is exact for exchanges, so with FewestBytes the search visits only what lies on
/// plans at the lower bound. Normal form: sums are finished before shards move on, and gathers come last; no shard on the
/// way is larger than the larger end.
template <int Capacity>
class PlanSearch {
 public:
  static constexpr index_t unbounded = index_t{1} << 62;
  struct State {
    Layout at;
    index_t local;        // elements
    index_t cost, total;  // so far; with the least that is left
    int parent;
    bool open;
    Move by;
  };

  /// Looks for what is cheaper than `bound`, among so many candidates.
  constexpr explicit PlanSearch(const PlanProblem& p, index_t bound = unbounded, int candidates = 1 << 20)
      : sizes_(p), source_(layout_of(p.source)), target_(layout_of(p.target)), rank_(p.source.rank) {
    for (int a = 0; a < p.mesh.rank; ++a)
      if (p.mesh.size(a) > 1) axes_ |= 1u << a;
    named_ = used(target_);
    wanted_ = sizes_.local(target_);
    const index_t held = sizes_.local(source_);
    most_ = held > wanted_ ? held : wanted_;
    bound_ = bound, left_ = candidates;
    add(-1, {}, source_, held, 0);
  }

  /// The state at the target, or -1.
  constexpr int run() {
    for (int best = nearest(); best >= 0 && left_ > 0; best = nearest()) {
      states_[best].open = false;
      if (states_[best].at == target_) return best;
      expand(best);
    }
    return -1;
  }
  constexpr const State& operator[](int i) const { return states_[i]; }
  constexpr int visited() const { return count_; }
  /// Does a plan cost no more than what is certainly left at the source, but for messages?
  constexpr bool is_tight(index_t cost) const { return cost - states_[0].total < sizes_.element(); }

 private:
  PlanSizes sizes_;
  Layout source_, target_;
  int rank_, count_ = 0;
  unsigned axes_ = 0, named_;  // all; those of the target
  index_t wanted_ = 0, most_ = 0, bound_ = 0, least_ = 0;
  int left_ = 0;                                                    // candidates
  std::array<index_t, static_cast<std::size_t>(max_rank)> room_{};  // of the state that is expanded
  State states_[Capacity];
  std::array<int, 4 * static_cast<std::size_t>(Capacity)> place_{};  // of states, by what they are: a hash table

  /// The cheapest open state, of equals the youngest. What is left is never estimated too high, so none is cheaper than
  /// the last one was, and one as cheap as that ends the search.
  constexpr int nearest() {
    int best = -1;
    for (int i = count_ - 1; i >= 0; --i)
      if (states_[i].open && (best < 0 || states_[i].total < states_[best].total)) {
        best = i;
        if (states_[i].total <= least_) break;
      }
    if (best >= 0) least_ = states_[best].total;
    return best;
  }

  constexpr unsigned used(const Layout& l) const {
    unsigned m = l.partial;
    unsigned long long rest = l.digits;
    for (int n = l.start(max_rank - 1) + l.count(max_rank - 1); n > 0; --n, rest >>= 4) m |= 1u << (rest & 15u);
    return m;
  }
  /// Axes of one size that the target does not name are the same to what follows: the first of them stands for all.
  constexpr bool first_of_its_kind(int a, unsigned among) const {
    among &= ~named_ & ((1u << a) - 1u);
    if (among == 0 || named_ >> a & 1u) return true;
    for (int b = 0; among != 0; ++b, among >>= 1)
      if (among & 1u && sizes_.alike(a, b)) return false;
    return true;
  }
  static constexpr unsigned mask_of(unsigned long long list, int count) {
    unsigned m = 0;
    for (; count > 0; --count, list >>= 4) m |= 1u << (list & 15u);
    return m;
  }

  /// The least that is left. Of a sum over q devices: its addends cross once, q - 1 of them for each of the elements of
  /// which a device keeps one share, and then the target lacks what is not in that share.
  constexpr index_t left(const Layout& l, index_t local) const {
    if (l.partial == target_.partial)
      return sizes_.at_least(l == target_ ? 0 : lacking(sizes_, l, local, target_, wanted_, rank_));
    const index_t q = sizes_.product_of(l.partial & ~target_.partial);
    const index_t share = local / (q * sizes_.product_of(axes_ & ~used(l)));
    return sizes_.at_least(wanted_ + share * (conflict(l, target_, rank_) ? q - 1 : q - 2));
  }

  constexpr void add(int parent, const Move& by, const Layout& at, index_t local, index_t cost) {
    if (local > most_ || left_-- <= 0) return;
    const index_t total = cost + left(at, local);
    if (total >= bound_) return;
    const bool gathers = by.what == Collective::all_gather;
    std::size_t slot = (at.digits * 0x9e3779b97f4a7c15ull + at.counts * 0x85ebca6bull + at.partial + gathers) >> 20;
    int i = 0;  // number + 1
    while ((i = place_[slot %= place_.size()]) != 0 && !(states_[i - 1].at == at && gathering(i - 1) == gathers))
      ++slot;
    if (i == 0 ? count_ == Capacity : states_[i - 1].cost <= cost) return;
    if (at == target_) bound_ = total;
    if (i == 0) place_[slot] = i = ++count_;
    states_[i - 1] = State{at, local, cost, total, parent, true, by};
  }
  constexpr bool gathering(int i) const { return states_[i].by.what == Collective::all_gather; }

  constexpr void expand(int i) {
    const State s = states_[i];
    const bool started = s.parent >= 0;
    for (int d = 0; d < rank_; ++d) room_[static_cast<std::size_t>(d)] = sizes_.room(s.at, d);
    if (!gathering(i) || !started) {
      slices(i, s);
      if (s.at.partial != target_.partial) return sums(i, s);
      all_to_alls(i, s);
      if (!started || s.by.what != Collective::permute) permutes(i, s);
      exchange(i, s);
    }
    gathers(i, s);
  }

  /// Slices on several dimensions commute: they come in the order of the dimensions, of which the first is preferred.
  constexpr void slices(int i, const State& s) {
    const bool again = s.parent >= 0 && s.by.what == Collective::slice;
    const unsigned spare = axes_ & ~used(s.at);
    for (int a = 0; spare >> a != 0; ++a)
      if (spare >> a & 1u && first_of_its_kind(a, spare))
        for (int d = again ? s.by.to : 0; d < rank_; ++d)
          if (room_[static_cast<std::size_t>(d)] % sizes_.size(a) == 0)
            add(i, {Collective::slice, 0, static_cast<signed char>(d), 1, static_cast<unsigned>(a)},
                s.at.pushed(d, static_cast<unsigned>(a), 1), s.local / sizes_.size(a),
                s.cost + (again && d == s.by.to ? 0 : 1 + d));
  }

  constexpr void sums(int i, const State& s) {
    const unsigned pending = s.at.partial & ~target_.partial;
    const bool again = s.parent >= 0 && s.by.what == Collective::reduce_scatter;
    for (int a = 0; pending >> a != 0; ++a) {
      if (!(pending >> a & 1u) || !first_of_its_kind(a, pending)) continue;
      const index_t n = sizes_.size(a);
      for (int d = again ? s.by.to : 0; d < rank_; ++d) {
        if (room_[static_cast<std::size_t>(d)] % n != 0) continue;
        Layout scattered = s.at.pushed(d, static_cast<unsigned>(a), 1);
        scattered.partial &= ~(1u << a);
        const index_t merged = again && d == s.by.to ? sizes_.links().call : 0;  // one step with the last one
        add(i, {Collective::reduce_scatter, 0, static_cast<signed char>(d), 1, static_cast<unsigned>(a)}, scattered,
            s.local / n,
            s.cost - merged + d +
                sizes_.price(received_elements(Collective::reduce_scatter, s.local, n), n - 1, 1u << a));
      }
    }
    for (unsigned some = pending; some != 0; some = (some - 1) & pending) {
      if (!begins_its_kinds(some, pending)) continue;
      const index_t n = sizes_.product_of(some);
      Layout whole = s.at;
      whole.partial &= ~some;
      const DimAxes axes = axes_of(some);
      add(i, {Collective::all_reduce, 0, 0, axes.count, axes.digits}, whole, s.local,
          s.cost + sizes_.price(received_elements(Collective::all_reduce, s.local, n), 2 * (n - 1), some));
    }
  }

  constexpr bool begins_its_kinds(unsigned some, unsigned pending) const {
    for (int a = 0; some >> a != 0; ++a)
      if (some >> a & 1u && !first_of_its_kind(a, pending & ~(some & ((1u << a) - 1u)))) return false;
    return true;
  }

  constexpr void all_to_alls(int i, const State& s) {
    for (int d = 0; d < rank_; ++d)
      for (int k = 1; k <= s.at.count(d); ++k) {
        const unsigned long long axes = s.at.last(d, k);
        const index_t n = sizes_.product(axes, k);
        const index_t cost =
            s.cost + sizes_.price(received_elements(Collective::all_to_all, s.local, n), n - 1, mask_of(axes, k));
        if (cost >= bound_) continue;
        const Layout without = s.at.popped(d, k);
        for (int e = 0; e < rank_; ++e)
          if (e != d && room_[static_cast<std::size_t>(e)] % n == 0)
            add(i, {Collective::all_to_all, static_cast<signed char>(d), static_cast<signed char>(e), k, axes},
                without.pushed(e, axes, k), s.local, cost);
      }
  }

  /// To a layout of the same local shape whose dimensions begin as the target's do, or are the beginning of them.
  constexpr void permutes(int i, const State& s) {
    const index_t cost = s.cost + sizes_.price(s.local, 1, used(s.at) & axes_);
    if (cost + (wanted_ > s.local ? sizes_.at_least(wanted_ - s.local) : 0) >= bound_) return;
    index_t cuts = 1;  // by which the target is finer; then it lacks the same, whatever stands behind the beginnings
    Layout base;       // what is fixed: the beginnings of the target's dimensions
    base.partial = s.at.partial;
    std::array<index_t, static_cast<std::size_t>(max_rank)> missing{};
    for (int d = 0; d < rank_; ++d) {
      index_t rest = sizes_.parts_of(s.at, d);
      for (int k = 0; k < target_.count(d); ++k) {
        const int a = target_.axis(d, k);
        if (rest == 1) {
          cuts *= sizes_.size(a);
          continue;
        }
        if (rest % sizes_.size(a) != 0) return;
        rest /= sizes_.size(a);
        base = base.pushed(d, static_cast<unsigned>(a), 1);
      }
      missing[static_cast<std::size_t>(d)] = rest;
    }
    if (cost + sizes_.at_least(wanted_ - s.local / cuts) >= bound_) return;
    fill(i, s, base, missing, axes_ & ~used(base), 0, cost);
  }
  constexpr void fill(int i, const State& s, const Layout& at,
                      std::array<index_t, static_cast<std::size_t>(max_rank)>& missing, unsigned spare, int d,
                      index_t cost) {
    while (d < rank_ && missing[static_cast<std::size_t>(d)] == 1) ++d;
    if (left_ <= 0) return;
    if (d == rank_) {
      if (!(at == s.at)) add(i, {Collective::permute, 0, 0, 0, 0}, at, s.local, cost);
      return;
    }
    index_t& rest = missing[static_cast<std::size_t>(d)];
    for (int a = 0; spare >> a != 0; ++a)
      if (spare >> a & 1u && rest % sizes_.size(a) == 0 && first_of_its_kind(a, spare)) {
        rest /= sizes_.size(a);
        fill(i, s, at.pushed(d, static_cast<unsigned>(a), 1), missing, spare & ~(1u << a), d, cost);
        rest *= sizes_.size(a);
      }
  }

  constexpr void exchange(int i, const State& s) {
    if (!sizes_.links().exchanges) return;
    const unsigned axes = axes_ & (used(s.at) | used(target_)) & ~target_.partial;
    add(i, {Collective::exchange, 0, 0, 0, 0}, target_, wanted_,
        s.cost + sizes_.links().exchange +
            sizes_.price(lacking(sizes_, s.at, s.local, target_, wanted_, rank_), peers(sizes_, s.at, target_, rank_),
                         axes));
  }

  /// Where the target's axes begin every dimension, the rest is gathered. Between hosts first, while shards are small.
  constexpr void gathers(int i, const State& s) {
    for (int d = 0; d < rank_; ++d)
      if (s.at.count(d) < target_.count(d)) return;
    if (conflict(s.at, target_, rank_)) return;
    for (int d = 0; d < rank_; ++d) {
      const int k = s.at.count(d) - target_.count(d);
      if (k == 0) continue;
      const unsigned long long axes = s.at.last(d, k);
      const index_t n = sizes_.product(axes, k);
      add(i, {Collective::all_gather, static_cast<signed char>(d), 0, k, axes}, s.at.popped(d, k), s.local * n,
          s.cost + sizes_.price(received_elements(Collective::all_gather, s.local, n), n - 1, mask_of(axes, k)));
      if (!sizes_.has_hosts()) return;
    }
  }

  static constexpr DimAxes axes_of(unsigned mask) { return detail::axes_of_mask(mask); }
};

}  // namespace detail
}  // namespace tess
