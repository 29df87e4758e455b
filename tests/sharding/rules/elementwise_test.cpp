// The rules of elementwise functions and reductions by brute force: numbers on random meshes, specs and parts.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <random>
#include <vector>

#include <tess/ops/functions.hpp>
#include <tess/sharding/device_slice.hpp>
#include <tess/sharding/rules/reduction.hpp>

#include "support/all_specs.hpp"
#include "support/summary.hpp"

using namespace tess;
using rules::MapFault;
using rules::MapOperand;

namespace {

using Index = std::array<index_t, static_cast<std::size_t>(max_rank)>;

class Dice {
 public:
  explicit Dice(unsigned seed) : engine_(seed) {}
  int below(int n) { return static_cast<int>(engine_() % static_cast<unsigned>(n)); }

  /// One to three axes of sizes 1 to 3, of at most 12 devices.
  MeshValue mesh() {
    MeshValue m;
    do {
      m.rank = 1 + below(3);
      for (int a = 0; a < m.rank; ++a) m.sizes[static_cast<std::size_t>(a)] = 1 + below(3);
    } while (m.devices() > 12);
    return m;
  }
  /// Extents that every spec divides, or 1; pending over some of the axes that are left, if so wished.
  MapOperand operand(const MeshValue& m, int rank, bool pending) {
    MapOperand x;
    x.spec.rank = rank;
    for (int d = 0; d < rank; ++d) x.shape.push(below(4) ? m.devices() : 1);
    unsigned left = 0;
    for (int a = below(m.rank), i = 0; i < m.rank; ++i, a = (a + 1) % m.rank) {
      const int to = below(rank + 1);
      if (to < rank && (x.shape[to] > 1 || m.size(a) == 1)) x.spec[to].push(a);
      else left |= 1u << a;
    }
    if (pending && below(2))
      x.spec.pend(left & static_cast<unsigned>(below(8)), static_cast<Reduction>(below(4) ? 0 : 1 + below(2)));
    return x;
  }

 private:
  std::mt19937 engine_;
};

Index index_of(const rules::ShapeValue& shape, index_t i) {
  Index at{};
  for (int d = shape.rank - 1; d >= 0; --d) at[static_cast<std::size_t>(d)] = i % shape[d], i /= shape[d];
  return at;
}
bool owns(const MeshValue& m, const SpecValue& s, const rules::ShapeValue& shape, index_t device, const Index& at) {
  for (int d = 0; d < s.rank; ++d)
    if (at[static_cast<std::size_t>(d)] / (shape[d] / parts(m, s[d])) != shard_index(m, s[d], device)) return false;
  return true;
}
/// Which part of a pending value a device holds.
index_t place(const MeshValue& m, unsigned axes, index_t device) {
  index_t at = 0;
  for (int a = 0; a < m.rank; ++a)
    if (axes >> a & 1u) at = at * m.size(a) + m.coordinate(device, a);
  return at;
}
index_t places(const MeshValue& m, unsigned axes) {
  index_t n = 1;
  for (int a = 0; a < m.rank; ++a) n *= axes >> a & 1u ? m.size(a) : 1;
  return n;
}
double put_together(Reduction kind, double a, double b) {
  return kind == Reduction::sum ? a + b : kind == Reduction::max ? std::max(a, b) : std::min(a, b);
}
/// Small whole numbers, never 0: operand i, part p, element e.
double part(int i, index_t p, index_t e) { return static_cast<double>((i * 7 + p * 5 + e * 3 + p * e) % 11) - 5.5; }
double whole(const MeshValue& m, const SpecValue& s, int i, index_t e) {
  double v = part(i, 0, e);
  for (index_t p = 1; p < places(m, s.partial); ++p) v = put_together(s.kind, v, part(i, p, e));
  return v;
}
/// The element of operand x that element `at` of the result is computed from.
index_t source(const MapOperand& x, int rank, const Index& at, Index& own) {
  index_t e = 0;
  for (int d = 0; d < x.shape.rank; ++d) {
    own[static_cast<std::size_t>(d)] = x.shape[d] == 1 ? 0 : at[static_cast<std::size_t>(d + rank - x.shape.rank)];
    e = e * x.shape[d] + own[static_cast<std::size_t>(d)];
  }
  return e;
}

struct Function {
  rules::Algebra algebra;
  int arity;
  std::function<double(const double*)> f;
  bool knowable =
      true;  // not so: the sign of a number that only run time tells, and functions of which nothing is said
};
const std::vector<Function>& functions() {
  static const std::vector<Function> all{
      {fn::Add::algebra, 2, [](const double* x) { return x[0] + x[1]; }},
      {fn::Subtract::algebra, 2, [](const double* x) { return x[0] - x[1]; }},
      {fn::Multiply::algebra, 2, [](const double* x) { return x[0] * x[1]; }},
      {fn::Divide::algebra, 2, [](const double* x) { return x[0] / (x[1] + 0.25); }},
      {fn::Maximum::algebra, 2, [](const double* x) { return std::max(x[0], x[1]); }},
      {fn::Minimum::algebra, 2, [](const double* x) { return std::min(x[0], x[1]); }},
      {fn::Where::algebra, 3, [](const double* x) { return x[0] > 0 ? x[1] : x[2]; }},
      {fn::Masked::algebra, 2, [](const double* x) { return x[0] > 0 ? x[1] : 0; }},
      {fn::Negate::algebra, 1, [](const double* x) { return -x[0]; }},
      {fn::Exp::algebra, 1, [](const double* x) { return std::exp(x[0]); }},
      {fn::Times<float>::algebra, 1, [](const double* x) { return -3 * x[0]; }, false},
      {fn::Plus<float>::algebra, 1, [](const double* x) { return x[0] + 2; }},
      {rules::opaque, 2, [](const double* x) { return x[0] * x[0] + x[1]; }, false},
  };
  return all;
}

/// Everything that a device needs for its shard of the result it has.
bool is_local(const MeshValue& m, const std::vector<MapOperand>& x, const SpecValue& y,
              const rules::ShapeValue& shape) {
  Index own{};
  for (index_t device = 0; device < m.devices(); ++device)
    for (index_t e = 0; e < shape.size(); ++e) {
      const Index at = index_of(shape, e);
      if (!owns(m, y, shape, device, at)) continue;
      for (const MapOperand& o : x) {
        source(o, shape.rank, at, own);
        if (!owns(m, o.spec, o.shape, device, own)) return false;
      }
    }
  return true;
}
/// Part by part on every device, then put together: is it f of the whole?
bool is_right(const MeshValue& m, const Function& f, const std::vector<MapOperand>& x, const MapOperand& y) {
  Index own{};
  for (index_t e = 0; e < y.shape.size(); ++e) {
    const Index at = index_of(y.shape, e);
    double in[3] = {};
    for (std::size_t i = 0; i < x.size(); ++i)
      in[i] = whole(m, x[i].spec, static_cast<int>(i), source(x[i], y.shape.rank, at, own));
    const double expected = f.f(in);
    double found = 0;
    for (index_t p = 0; p < places(m, y.spec.partial); ++p) {
      bool have = false;
      double v = 0;
      for (index_t device = 0; device < m.devices(); ++device) {
        if (place(m, y.spec.partial, device) != p || !owns(m, y.spec, y.shape, device, at)) continue;
        for (std::size_t i = 0; i < x.size(); ++i)
          in[i] = part(static_cast<int>(i), place(m, x[i].spec.partial, device), source(x[i], y.shape.rank, at, own));
        const double r = f.f(in);
        if (have && r != v) return false;  // copies differ
        have = true, v = r;
      }
      if (!have) return false;
      found = p == 0 ? v : put_together(y.spec.kind, found, v);
    }
    if (std::abs(found - expected) > 1e-9 * (1 + std::abs(expected))) return false;
  }
  return true;
}
/// f part by part, the result pending over all axes over which some operand is, in any of the three ways.
bool some_way_is_right(const MeshValue& m, const Function& f, const std::vector<MapOperand>& x, MapOperand y) {
  unsigned pending = 0;
  for (const MapOperand& o : x) pending |= o.spec.partial;
  for (const Reduction kind : {Reduction::sum, Reduction::max, Reduction::min}) {
    y.spec.pend(pending, kind);
    if (is_right(m, f, x, y)) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("an elementwise function is accepted exactly where the operands lie so that every device has what it needs") {
  Dice dice(2026);
  int accepted = 0, refused = 0;
  for (int n = 0; n < 3000; ++n) {
    const MeshValue m = dice.mesh();
    std::vector<MapOperand> x;
    for (int i = 0; i < 2 + dice.below(2); ++i) x.push_back(dice.operand(m, dice.below(3), false));
    const auto v = rules::elementwise(m, rules::opaque, x.data(), static_cast<int>(x.size()));
    REQUIRE(v.fault != MapFault::shapes);
    if (v.fault == MapFault::none) {
      ++accepted;
      REQUIRE(is_local(m, x, v.result.spec, v.result.shape));
    } else {
      ++refused;
    }
    if (n % 5 > 0) continue;
    rules::ShapeValue shape;  // of the result, also of a refused one
    for (const auto& o : x) shape.rank = std::max(shape.rank, o.shape.rank);
    for (int d = 0; d < shape.rank; ++d) shape[d] = 1;
    for (const auto& o : x)
      for (int d = 0; d < o.shape.rank; ++d) {
        index_t& to = shape[d + shape.rank - o.shape.rank];
        to = std::max(to, o.shape[d]);
      }
    for (const SpecValue& s : support::all_specs(m.rank, shape.rank)) {
      bool divides = true;
      for (int d = 0; d < s.rank; ++d) divides = divides && shape[d] % parts(m, s[d]) == 0;
      if (!divides || !is_local(m, x, s, shape)) continue;
      REQUIRE(v.fault == MapFault::none);
      for (int d = 0; d < s.rank; ++d) REQUIRE(rules::refines(m, s[d], v.result.spec[d]));  // ours is the coarsest
    }
  }
  support::report("elementwise rule by brute force",
                  std::to_string(accepted) + " local, " + std::to_string(refused) + " refused, seed 2026");
  CHECK(accepted > 500);
  CHECK(refused > 200);
}

TEST_CASE(
    "a function of pending values is accepted only where putting the parts together gives the function of the whole") {
  Dice dice(4711);
  int accepted = 0, refused = 0;
  for (int n = 0; n < 12000; ++n) {
    const MeshValue m = dice.mesh();
    const Function& f = functions()[static_cast<std::size_t>(dice.below(static_cast<int>(functions().size())))];
    std::vector<MapOperand> x;
    for (int i = 0; i < f.arity; ++i) x.push_back(dice.operand(m, dice.below(3), true));
    if (f.arity > 1 && dice.below(2))
      x.back().spec.pend(x[x.size() - 2].spec.partial & ~x.back().spec.sharded(), x[x.size() - 2].spec.kind);
    unsigned pending = 0;
    for (const auto& o : x) pending |= o.spec.partial & ~m.trivial();
    if (!pending) continue;
    const auto v = rules::elementwise(m, f.algebra, x.data(), f.arity);
    if (v.fault == MapFault::none) {
      ++accepted;
      REQUIRE(is_local(m, x, v.result.spec, v.result.shape));
      REQUIRE(is_right(m, f, x, v.result));
    } else {
      ++refused;
    }
  }
  support::report("functions of pending values by brute force",
                  std::to_string(accepted) + " right, " + std::to_string(refused) + " refused, seed 4711");
  CHECK(accepted > 500);
  CHECK(refused > 500);
}

TEST_CASE(
    "no function of one or two pending numbers is refused that would be right: tried on one axis of three devices") {
  MeshValue m;
  m.rank = 1, m.sizes[0] = 3;
  for (const Function& f : functions()) {
    const int states = f.arity == 1   ? 4
                       : f.arity == 2 ? 16
                                      : 64;  // whole, or pending in one of three ways, each operand
    for (int state = 0; state < states; ++state) {
      std::vector<MapOperand> x(static_cast<std::size_t>(f.arity));
      bool pending = false;
      for (int i = 0, rest = state; i < f.arity; ++i, rest /= 4) {
        auto& o = x[static_cast<std::size_t>(i)];
        o.spec.rank = 1;
        o.shape.push(12);
        if (rest % 4) o.spec.pend(1, static_cast<Reduction>(rest % 4 - 1)), pending = true;
      }
      if (!pending) continue;
      const auto v = rules::elementwise(m, f.algebra, x.data(), f.arity);
      MapOperand y;
      y.spec.rank = 1;
      y.shape.push(12);
      INFO("function " << &f - functions().data() << ", state " << state);
      if (v.fault == MapFault::none) CHECK(is_right(m, f, x, v.result));
      else if (f.knowable) CHECK_FALSE(some_way_is_right(m, f, x, y));
    }
  }
}

TEST_CASE("a reduction of what each device holds, put together, is the reduction of the whole") {
  Dice dice(99);
  int accepted = 0, pending_results = 0;
  for (int n = 0; n < 3000; ++n) {
    const MeshValue m = dice.mesh();
    const MapOperand x = dice.operand(m, 1 + dice.below(2), true);
    const auto dims = static_cast<unsigned>(1 + dice.below((1 << x.shape.rank) - 1));
    const auto fold = static_cast<rules::Fold>(dice.below(4));
    const bool keep = dice.below(2) == 1;
    const auto v = rules::reduction(m, x.spec, dims, fold, keep);
    if (v.fault != rules::ReductionFault::none) continue;
    ++accepted, pending_results += v.result.partial != 0;
    rules::ShapeValue shape;
    for (int d = 0; d < x.shape.rank; ++d)
      if (!(dims >> d & 1u)) shape.push(x.shape[d]);
      else if (keep) shape.push(1);
    const auto step = [&](double a, double b) {
      return fold == rules::Fold::whole ? a * b : put_together(rules::kind_of(fold), a, b);
    };
    for (index_t e = 0; e < shape.size(); ++e) {
      const Index at = index_of(shape, e);
      const auto in_line = [&](const Index& i) {
        for (int d = 0, to = 0; d < x.shape.rank; ++d) {
          const bool gone = dims >> d & 1u;
          if (!gone && i[static_cast<std::size_t>(d)] != at[static_cast<std::size_t>(to)]) return false;
          to += !gone || keep;
        }
        return true;
      };
      const auto line = [&](const auto& value, const auto& held) {  // the reduction of the elements that are held
        double r = 0;
        bool any = false;
        for (index_t i = 0; i < x.shape.size(); ++i) {
          const Index index = index_of(x.shape, i);
          if (!in_line(index) || !held(index)) continue;
          r = any ? step(r, value(i)) : value(i);
          any = true;
        }
        return r;
      };
      const double expected =
          line([&](index_t i) { return whole(m, x.spec, 0, i); }, [](const Index&) { return true; });
      double found = 0;
      for (index_t p = 0; p < places(m, v.result.partial); ++p)
        for (index_t device = 0; device < m.devices(); ++device) {
          if (place(m, v.result.partial, device) != p || !owns(m, v.result, shape, device, at)) continue;
          const index_t own = place(m, x.spec.partial, device);
          const double r = line([&](index_t i) { return part(0, own, i); },
                                [&](const Index& i) { return owns(m, x.spec, x.shape, device, i); });
          found = p == 0 ? r : put_together(v.result.kind, found, r);
          break;
        }
      REQUIRE(std::abs(found - expected) <= 1e-9 * (1 + std::abs(expected)));
    }
  }
  CHECK(accepted > 1000);
  CHECK(pending_results > 500);
}
