// The reshard planner: the cheapest chain of collectives from one spec to another, found by the compiler, as a type.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../sharding/shard_shape.hpp"
#include "collectives.hpp"

namespace tess {

/// A step of a plan as a value: which collective, over which mesh axis, from and to which dimension, and the spec
/// afterwards.
struct PlanStep {
  Collective what = Collective::slice;
  int axis = 0, from = 0, to = 0;
  SpecValue after{};
};

inline constexpr int max_plan_steps = 12;

struct Plan {
  bool found = false;
  int size = 0;
  std::array<PlanStep, max_plan_steps> steps{};
  constexpr const PlanStep& operator[](int i) const { return steps[static_cast<std::size_t>(i)]; }
};

namespace detail {

inline constexpr int max_plan_states = 256;

/// Where the search may shard: static extents must divide, and dyn ones only take axes that the source or the target
/// puts there.
struct PlanProblem {
  SpecValue source, target;
  std::array<index_t, max_rank> extents{};
  std::array<index_t, max_mesh_axes> sizes{};
  int axes = 0;

  constexpr index_t size(int axis) const { return sizes[static_cast<std::size_t>(axis)]; }
  constexpr bool may_shard(const SpecValue& s, int d, int axis) const {
    const index_t extent = extents[static_cast<std::size_t>(d)];
    if (extent == dyn) return (source[d].mask() | target[d].mask()) >> axis & 1u;
    index_t n = size(axis);
    for (int i = 0; i < s[d].count; ++i) n *= size(s[d][i]);
    return extent % n == 0;
  }
  /// Elements of a shard as a fraction of the whole tensor.
  constexpr double share(const SpecValue& s) const {
    double v = 1;
    for (int d = 0; d < s.rank; ++d)
      for (int i = 0; i < s[d].count; ++i) v /= static_cast<double>(size(s[d][i]));
    return v;
  }
};

/// A spec as one word: the axes of each dimension as digits of four bits from 1 on, a 15 after each dimension, then the
/// pending axes.
using SpecCode = unsigned long long;
constexpr SpecCode encode(const SpecValue& s) {
  SpecCode code = 0;
  for (int d = 0; d < s.rank; ++d) {
    for (int i = 0; i < s[d].count; ++i) code = code << 4 | static_cast<SpecCode>(s[d][i] + 1);
    code = code << 4 | 15u;
  }
  return code << max_mesh_axes | s.partial;
}

/// Dijkstra over specs. Cost: received bytes as a fraction of the tensor, plus a small amount per step so that fewer
/// steps win ties.
class PlanSearch {
 public:
  constexpr explicit PlanSearch(const PlanProblem& p) : problem_(p) {
    states_[0].code = encode(p.source);
    states_[0].by.after = p.source;
  }

  constexpr Plan run() {
    const SpecCode target = encode(problem_.target);
    for (int best = nearest(); best >= 0; best = nearest()) {
      states_[best].done = true;
      if (states_[best].code == target) return chain(best);
      expand(best);
    }
    return {};
  }

 private:
  struct State {
    SpecCode code = 0;
    double cost = 0;
    int parent = -1;
    PlanStep by{};  // how it was reached, and the spec itself
    bool done = false;
  };
  PlanProblem problem_;
  State states_[max_plan_states];
  int count_ = 1;

  constexpr int nearest() const {
    int best = -1;
    for (int i = 0; i < count_; ++i)
      if (!states_[i].done && (best < 0 || states_[i].cost < states_[best].cost)) best = i;
    return best;
  }

  constexpr Plan chain(int last) const {
    Plan plan;
    plan.found = true;
    for (int i = last; states_[i].parent >= 0; i = states_[i].parent) ++plan.size;
    int k = plan.size;
    for (int i = last; states_[i].parent >= 0; i = states_[i].parent)
      plan.steps[static_cast<std::size_t>(--k)] = states_[i].by;
    return plan;
  }

  constexpr void relax(int parent, const PlanStep& step, double fraction) {
    constexpr double per_step = 1e-6;
    const double cost = states_[parent].cost + fraction + per_step;
    const SpecCode code = encode(step.after);
    int i = 0;
    while (i < count_ && states_[i].code != code) ++i;
    if (i == max_plan_states || (i < count_ && states_[i].cost <= cost)) return;
    if (i == count_) ++count_;
    states_[i] = {code, cost, parent, step, false};
  }

  constexpr void expand(int at) {
    const SpecValue s = states_[at].by.after;
    const double share = problem_.share(s);
    const unsigned used = s.used();
    for (int d = 0; d < s.rank; ++d) {
      if (s[d].count > 0) {
        SpecValue without = s;
        const int a = without[d].pop();
        const double n = static_cast<double>(problem_.size(a));
        relax(at, {Collective::all_gather, a, d, d, without}, share * (n - 1));
        for (int e = 0; e < s.rank; ++e)
          if (e != d && problem_.may_shard(without, e, a)) {
            SpecValue moved = without;
            moved[e].push(a);
            relax(at, {Collective::all_to_all, a, d, e, moved}, share * (n - 1) / n);
          }
      }
      for (int a = 0; a < problem_.axes; ++a) {
        const bool pending = s.partial >> a & 1u;
        if ((used >> a & 1u && !pending) || problem_.size(a) == 1 || !problem_.may_shard(s, d, a)) continue;
        const double n = static_cast<double>(problem_.size(a));
        SpecValue sliced = s;
        sliced.partial &= ~(1u << a);
        sliced[d].push(a);
        if (pending) relax(at, {Collective::reduce_scatter, a, d, d, sliced}, share * (n - 1) / n);
        else relax(at, {Collective::slice, a, d, d, sliced}, 0);
      }
    }
    for (int a = 0; a < problem_.axes; ++a)
      if (s.partial >> a & 1u) {
        const double n = static_cast<double>(problem_.size(a));
        SpecValue summed = s;
        summed.partial &= ~(1u << a);
        relax(at, {Collective::all_reduce, a, 0, 0, summed}, share * 2 * (n - 1) / n);
      }
  }
};

/// Axes of size 1 take part in no plan; they are dropped before and put back after.
template <class S, class From, class To, class M>
constexpr Plan find_plan() {
  PlanProblem p;
  p.source = spec_value<From, M, S::rank>.without(trivial_axes<M>());
  p.target = spec_value<To, M, S::rank>.without(trivial_axes<M>());
  for (int d = 0; d < S::rank; ++d) p.extents[static_cast<std::size_t>(d)] = static_extent<S>(d);
  for (int a = 0; a < M::rank; ++a) p.sizes[static_cast<std::size_t>(a)] = M::axis_size(a);
  p.axes = M::rank;
  if (p.source == p.target) {
    Plan nothing;
    nothing.found = true;
    return nothing;
  }
  return PlanSearch(p).run();
}

template <class S, class From, class To, class M>
struct planned {
  static constexpr Plan value = find_plan<S, From, To, M>();
};

template <Collective C, class A, int F, int T>
constexpr auto step_type() {
  if constexpr (C == Collective::slice) return Slice<A, T>{};
  else if constexpr (C == Collective::all_gather) return AllGather<A, F>{};
  else if constexpr (C == Collective::all_to_all) return AllToAll<A, F, T>{};
  else if constexpr (C == Collective::all_reduce) return AllReduce<A>{};
  else return ReduceScatter<A, T>{};
}
template <class M, class Planned, int I>
using step_at = decltype(step_type<Planned::value[I].what, typename M::template axis_name<Planned::value[I].axis>,
                                   Planned::value[I].from, Planned::value[I].to>());
template <class Planned, int I>
struct after_step {
  static constexpr SpecValue value = Planned::value[I].after;
};
template <class M, class Planned, int... I>
auto steps_of(std::integer_sequence<int, I...>) -> Steps<step_at<M, Planned, I>...>;
}  // namespace detail

/// The plan as a type: `Steps<AllToAll<data, 0, 2>, ReduceScatter<model, 1>>`. Empty when nothing has to move.
template <AnyShape S, AnySpec From, AnySpec To, AnyMesh M>
using reshard_plan = decltype(detail::steps_of<M, detail::planned<S, From, To, M>>(
    std::make_integer_sequence<int, detail::planned<S, From, To, M>::value.size>{}));

}  // namespace tess
