// A mesh whose axes are divided into parts of prime size, so that a plan can move a part of an axis.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../sharding/spec_value.hpp"

namespace tess {

/// Whether a plan runs on the mesh as it is, or on its axes in prime parts: smallest or largest primes first.
enum class Refinement : unsigned char { none, ascending, descending };

namespace detail {

/// Prime factors of one size; 1 is its own factor, so that positions never vanish.
struct Primes {
  static constexpr int most = 16;
  int count = 0;
  std::array<index_t, static_cast<std::size_t>(most)> factor{};
  constexpr index_t operator[](int i) const { return factor[static_cast<std::size_t>(i)]; }
};
constexpr Primes primes_of(index_t n, Refinement order) {
  Primes up;
  for (index_t p = 2; n > 1 && up.count + 1 < Primes::most; ++p) {
    if (p * p > n) p = n;
    for (; n % p == 0 && up.count + 1 < Primes::most; n /= p) up.factor[static_cast<std::size_t>(up.count++)] = p;
  }
  if (n > 1 || up.count == 0) up.factor[static_cast<std::size_t>(up.count++)] = n;
  if (order == Refinement::ascending) return up;
  Primes down;
  for (int i = up.count - 1; i >= 0; --i) down.factor[static_cast<std::size_t>(down.count++)] = up[i];
  return down;
}

/// The parts as positions of their own, and what each position of the coarse mesh has become. `fits` is false where they
/// are more than a mesh may have, or none is new.
struct RefinedMesh {
  bool fits = false;
  MeshValue mesh;
  std::array<AxisRun, static_cast<std::size_t>(max_mesh_axes)> run{};

  constexpr unsigned mask(unsigned coarse) const {
    unsigned m = 0;
    for (int a = 0; a < max_mesh_axes; ++a)
      if (coarse >> a & 1u) {
        const AxisRun r = run[static_cast<std::size_t>(a)];
        m |= ((1u << r.count) - 1u) << r.first;
      }
    return m;
  }
  constexpr SpecValue spec(const SpecValue& coarse) const {
    SpecValue s = coarse;
    for (int d = 0; d < s.rank; ++d) {
      s[d] = {};
      for (int i = 0; i < coarse[d].count; ++i) {
        const AxisRun r = run[static_cast<std::size_t>(coarse[d][i])];
        for (int k = 0; k < r.count; ++k) s[d].push(r.first + k);
      }
    }
    s.partial = mask(coarse.partial);
    s.reduced = mask(coarse.reduced);
    return s;
  }
};
constexpr RefinedMesh refined(const MeshValue& m, Refinement order) {
  RefinedMesh r;
  for (int a = 0; a < m.rank; ++a) {
    const Primes p = primes_of(m.size(a), order);
    if (r.mesh.rank + p.count > max_mesh_axes) return r;
    r.run[static_cast<std::size_t>(a)] = {r.mesh.rank, p.count};
    for (int k = 0; k < p.count; ++k) {
      if (m.between_hosts >> a & 1u) r.mesh.between_hosts |= 1u << r.mesh.rank;
      r.mesh.sizes[static_cast<std::size_t>(r.mesh.rank++)] = p[k];
    }
  }
  r.fits = r.mesh.rank > m.rank;
  return r;
}
/// Do the two orders of the primes differ for some axis?
constexpr bool has_two_orders(const MeshValue& m) {
  for (int a = 0; a < m.rank; ++a) {
    const Primes p = primes_of(m.size(a), Refinement::ascending);
    if (p[0] != p[p.count - 1]) return true;
  }
  return false;
}

/// The same as types: the parts of axis A, each divided.
template <class A, Refinement Order>
struct prime_parts {
  static constexpr int count = [] {
    int n = 0;
    for (const index_t part : A::parts) n += primes_of(part, Order).count;
    return n;
  }();
  static constexpr int between = [] {
    int n = 0;
    for (int i = 0; i < A::between_parts; ++i) n += primes_of(A::parts[static_cast<std::size_t>(i)], Order).count;
    return n;
  }();
  static constexpr std::array<index_t, static_cast<std::size_t>(count)> part = [] {
    std::array<index_t, static_cast<std::size_t>(count)> all{};
    std::size_t n = 0;
    for (const index_t whole : A::parts) {
      const Primes p = primes_of(whole, Order);
      for (int i = 0; i < p.count; ++i) all[n++] = p[i];
    }
    return all;
  }();
};
template <class A, Refinement Order, std::size_t... I>
auto refined_axis(std::index_sequence<I...>)
    -> PartedAxis<typename A::name, prime_parts<A, Order>::between, prime_parts<A, Order>::part[I]...>;
template <class A, Refinement Order>
struct RefinedAxis : decltype(refined_axis<A, Order>(
                         std::make_index_sequence<static_cast<std::size_t>(prime_parts<A, Order>::count)>{})) {};

template <class M, Refinement Order>
struct refined_mesh_of {
  using type = M;
};
template <class... A, Refinement Order>
requires(Order != Refinement::none) struct refined_mesh_of<Mesh<A...>, Order> {
  using type = Mesh<RefinedAxis<A, Order>...>;
};
/// The same devices under the same numbers; specs of M read the same on it.
template <class M, Refinement Order>
using refined_mesh = typename refined_mesh_of<M, Order>::type;

/// Positions of a refined mesh as positions of the mesh that it was made of.
template <class M>
struct unrefined {
  static constexpr unsigned mask(unsigned positions) { return positions; }
};
template <class... A, Refinement Order>
struct unrefined<Mesh<RefinedAxis<A, Order>...>> {
  static constexpr unsigned mask(unsigned positions) {
    const RefinedMesh fine = refined(mesh_value<Mesh<A...>>, Order);
    unsigned coarse = 0;
    for (int a = 0; a < mesh_value<Mesh<A...>>.rank; ++a)
      if (fine.mask(1u << a) & positions) coarse |= 1u << a;
    return coarse;
  }
};

}  // namespace detail
}  // namespace tess
