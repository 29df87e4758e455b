// The reshard planner: the cheapest way from one spec to another, found by the compiler, as a type.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../sharding/shard_shape.hpp"
#include "plan_search.hpp"
#include "refine.hpp"

namespace tess {

/// A step of a plan as a value: which collective, over which positions of the plan's mesh (major to minor), from and to
/// which dimension, and the spec afterwards.
struct PlanStep {
  Collective what = Collective::slice;
  int from = 0, to = 0;
  DimAxes axes{};
  SpecValue after{};
};

inline constexpr int max_plan_steps = 16;

struct Plan {
  bool found = false;
  Refinement refinement = Refinement::none;  // of the mesh on which the steps are
  int size = 0;
  MeshValue mesh{};  // that mesh
  SpecValue source{};
  index_t cost = 0;  // in ticks of the policy
  std::array<PlanStep, static_cast<std::size_t>(max_plan_steps)> steps{};
  constexpr const PlanStep& operator[](int i) const { return steps[static_cast<std::size_t>(i)]; }
};

namespace detail {

/// Neighbours that are one collective: slices of a dimension, and sums scattered over it.
constexpr bool joins(const Move& a, const Move& b) {
  return a.what == b.what && a.to == b.to && (a.what == Collective::slice || a.what == Collective::reduce_scatter);
}

template <class Search>
constexpr void write_steps(const Search& search, int last, const PlanProblem& p, Plan& plan) {
  std::array<int, 4 * static_cast<std::size_t>(max_plan_steps)> way{};
  std::size_t n = 0;
  for (int i = last; search[i].parent >= 0; i = search[i].parent) way[n++] = i;
  plan.found = true, plan.mesh = p.mesh, plan.source = p.source, plan.cost = search[last].cost;
  for (std::size_t k = n; k-- > 0;) {
    const auto& state = search[way[k]];
    Move m = state.by;
    const bool joined = k + 1 < n && joins(search[way[k + 1]].by, m);
    if (joined) --plan.size;
    PlanStep& step = plan.steps[static_cast<std::size_t>(plan.size++)];
    DimAxes axes = joined ? step.axes : DimAxes{};
    for (int i = 0; i < m.count; ++i, m.axes >>= 4) axes.push(static_cast<int>(m.axes & 15u));
    step = {m.what, m.from, m.to, axes, spec_of(state.at, p.source.rank, p.source.kind)};
  }
}

/// The best plan on one mesh, if it is cheaper than the one given. Returns whether it is made of collectives only and
/// meets the bound.
template <int Capacity>
constexpr bool search_plan(const PlanProblem& p, Refinement refinement, int candidates, Plan& plan) {
  using Search = PlanSearch<Capacity>;
  Search search(p, plan.found ? plan.cost : Search::unbounded, candidates);
  const int last = search.run();
  if (last < 0) return false;
  plan = {};
  plan.refinement = refinement;
  write_steps(search, last, p, plan);
  for (int i = 0; i < plan.size; ++i)
    if (plan[i].what == Collective::exchange) return false;
  return search.is_tight(plan.cost);
}

/// The cheapest plan over whole axes. Where it is not as cheap as can be, parts of axes are tried too; there are many ways
/// to move those, and the compiler's patience is bounded: after so many candidates the best plan so far is taken.
template <int Capacity>
constexpr Plan find_chain(const PlanProblem& p, int candidates_in_parts) {
  Plan best;
  if (p.source == p.target) {
    best.found = true, best.mesh = p.mesh, best.source = p.source;
    return best;
  }
  if (search_plan<Capacity>(p, Refinement::none, 1 << 20, best)) return best;
  const bool two_orders = has_two_orders(p.mesh);
  for (const Refinement order : {Refinement::ascending, Refinement::descending}) {
    if (order == Refinement::descending && !two_orders) break;
    const RefinedMesh fine = refined(p.mesh, order);
    if (!fine.fits) break;
    PlanProblem q = p;
    q.mesh = fine.mesh, q.source = fine.spec(p.source), q.target = fine.spec(p.target);
    if (search_plan<Capacity>(q, order, candidates_in_parts / (two_orders ? 2 : 1), best)) break;
  }
  return best;
}

/// The target as it is before values are made pending over the axes `added`: where that saves bytes, they shard a dimension,
/// as its minor end. Their devices then share the work of getting there, and put zeros around what they have got. Of the
/// dimensions the one that lets most of the source stay where it is.
constexpr SpecValue before_pending(const PlanProblem& p, unsigned added) {
  const PlanSizes sizes(p);
  SpecValue source = p.source, s = p.target;
  source.pend(0), s.pend(0);
  const Layout from = layout_of(source);
  const auto lacks = [&](const SpecValue& t) {
    const Layout to = layout_of(t);
    return lacking(sizes, from, sizes.local(from), to, sizes.local(to), t.rank);
  };
  const bool sums = (p.source.partial & ~p.target.partial) != 0;  // the smaller the cheaper
  DimAxes order;                                                  // as in the source, where they stand there
  for (int d = 0; d < s.rank; ++d)
    for (int i = 0; i < source[d].count; ++i)
      if (added >> source[d][i] & 1u) order.push(source[d][i]);
  for (int a = 0; a < p.mesh.rank; ++a)
    if (added >> a & 1u && !(order.mask() >> a & 1u)) order.push(a);
  for (int i = 0; i < order.count; ++i) {
    const int a = order[i];
    SpecValue best = s;
    index_t least = sums ? -1 : lacks(s);
    for (int d = 0; d < s.rank; ++d) {
      const index_t extent = p.extents[static_cast<std::size_t>(d)];
      const index_t cuts = extent == dyn ? std::lcm(parts(p.mesh, p.source[d]), parts(p.mesh, p.target[d])) : extent;
      if (cuts % (parts(p.mesh, s[d]) * p.mesh.size(a)) != 0) continue;
      SpecValue t = s;
      t[d].push(a);
      const index_t n = lacks(t);
      if (least < 0 || n < least) best = t, least = n;
    }
    s = best;
  }
  s.pend(p.target.partial & ~added, p.source.kind);
  return s;
}
constexpr void append_pending(Plan& plan, const PlanProblem& p, unsigned added) {
  PlanStep& step = plan.steps[static_cast<std::size_t>(plan.size++)];
  step.what = Collective::pend;
  step.axes = axes_of_mask(added), step.after = p.target;
  if (plan.refinement == Refinement::none) return;
  const RefinedMesh fine = refined(p.mesh, plan.refinement);
  step.axes = axes_of_mask(fine.mask(added)), step.after = fine.spec(p.target);
}

}  // namespace detail

/// The cheapest chain of collectives over axes and their parts; values that the target wants pending over more axes than
/// the source become so at the end, which moves nothing.
template <int Capacity = 512>
constexpr Plan find_plan(const PlanProblem& p, int candidates_in_parts = 300) {
  const unsigned added = p.target.partial & ~p.source.partial;
  if (added == 0) return detail::find_chain<Capacity>(p, candidates_in_parts);
  PlanProblem q = p;
  q.target = detail::before_pending(p, added);
  Plan plan = detail::find_chain<Capacity>(q, candidates_in_parts);
  if (plan.found) detail::append_pending(plan, p, added);
  return plan;
}

namespace detail {

/// Axes of size 1 take part in no plan; they are dropped before and put back after, and so are the marks `Reduced`.
template <class S, class From, class To, class M>
constexpr PlanProblem plan_problem(const Links& links, index_t element_bytes) {
  PlanProblem p;
  p.mesh = mesh_value<M>;
  p.source = placement(p.mesh, spec_value<From, M, S::rank>);
  p.target = placement(p.mesh, spec_value<To, M, S::rank>);
  for (int d = 0; d < S::rank; ++d) p.extents[static_cast<std::size_t>(d)] = static_extent<S>(d);
  p.links = links, p.element_bytes = element_bytes;
  return p;
}

template <class S, class From, class To, class M, class Policy, index_t ElementBytes>
struct planned {
  static constexpr Plan value = find_plan(plan_problem<S, From, To, M>(Policy::links, ElementBytes));
  using mesh = refined_mesh<M, value.refinement>;
};

template <class Planned, int I>
struct after_step {
  static constexpr SpecValue value = [] {
    if constexpr (I < 0) return Planned::value.source;
    else return Planned::value[I].after;
  }();
};
template <class Planned, int I>
struct step_axes {
  static constexpr DimAxes axes = Planned::value[I].axes;
};
template <class Planned, int I>
constexpr auto step_type() {
  using M = typename Planned::mesh;
  constexpr PlanStep step{Planned::value[I].what, Planned::value[I].from, Planned::value[I].to};
  if constexpr (step.what == Collective::permute) {
    return Permute<spec_type<M, after_step<Planned, I>>>{};
  } else if constexpr (step.what == Collective::exchange) {
    return Exchange<spec_type<M, after_step<Planned, I>>>{};
  } else {
    using A = typename wrap_names<dim_names, M, step_axes<Planned, I>>::type;
    if constexpr (step.what == Collective::slice) return Slice<A, step.to>{};
    else if constexpr (step.what == Collective::all_gather) return AllGather<A, step.from>{};
    else if constexpr (step.what == Collective::all_to_all) return AllToAll<A, step.from, step.to>{};
    else if constexpr (step.what == Collective::all_reduce) return AllReduce<A>{};
    else if constexpr (step.what == Collective::pend) return Pend<A>{};
    else return ReduceScatter<A, step.to>{};
  }
}
template <class Planned, int I>
using step_at = decltype(step_type<Planned, I>());
template <class Planned, int... I>
auto steps_of(std::integer_sequence<int, I...>) -> Steps<step_at<Planned, I>...>;
}  // namespace detail

/// The plan as a type: `Steps<AllToAll<data, 0, 2>, ReduceScatter<model, 1>>`. Empty when nothing has to move. The policy
/// says what messages and bytes cost (comm/links.hpp), of elements of so many bytes.
template <AnyShape S, AnySpec From, AnySpec To, AnyMesh M, PlanPolicy Policy = FewestBytes, index_t ElementBytes = 4>
using reshard_plan = decltype(detail::steps_of<detail::planned<S, From, To, M, Policy, ElementBytes>>(
    std::make_integer_sequence<int, detail::planned<S, From, To, M, Policy, ElementBytes>::value.size>{}));

}  // namespace tess
