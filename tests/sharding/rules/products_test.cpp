// The rules of contractions and lookups against brute force over elements, on random meshes and specs.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <vector>

#include <tess/sharding/device_slice.hpp>
#include <tess/sharding/rules/gather.hpp>

using namespace tess;

namespace {

/// A random mesh of two axes of sizes 1 to 3 or of three of sizes 1 and 2, and random specs on it.
class Dice {
 public:
  explicit Dice(unsigned seed) : engine_(seed) {}
  int below(int n) { return static_cast<int>(engine_() % static_cast<unsigned>(n)); }

  MeshValue mesh() {
    MeshValue m;
    m.rank = 1 + below(3);
    for (int a = 0; a < m.rank; ++a) m.sizes[static_cast<std::size_t>(a)] = 1 + below(m.rank == 3 ? 2 : 3);
    return m;
  }
  /// Axes thrown at dimensions one after the other; some stay out, some are pending.
  SpecValue spec(const MeshValue& m, int rank, bool pending) {
    SpecValue s;
    s.rank = rank;
    for (int left = m.rank, a = below(m.rank); left > 0; --left, a = (a + 1) % m.rank) {
      const int to = below(2 * rank + 2);
      if (to < rank) s[to].push(a);
      else if (to == 2 * rank && pending) s.pend(s.partial | 1u << a);
    }
    return s;
  }

 private:
  std::mt19937 engine_;
};

/// Does `device` own index i of a dimension of extent n?
bool owns(const MeshValue& m, const DimAxes& axes, index_t n, index_t device, index_t i) {
  return i / (n / parts(m, axes)) == shard_index(m, axes, device);
}

/// Coordinates over `axes` of a mesh, as one number.
index_t place(const MeshValue& m, unsigned axes, index_t device) {
  index_t at = 0;
  for (int a = 0; a < m.rank; ++a)
    if (axes >> a & 1u) at = at * m.size(a) + m.coordinate(device, a);
  return at;
}

index_t addends_of(const MeshValue& m, const SpecValue& s) {
  index_t n = 1;
  for (int a = 0; a < m.rank; ++a)
    if (s.partial >> a & 1u) n *= m.size(a);
  return n;
}

using rules::DimLabels;
struct Equation {
  DimLabels lhs, rhs, out;
};
DimLabels labels(const char* text) {
  DimLabels l;
  while (*text) l.push(*text++);
  return l;
}

/// Every device, every element of its shard of the result: over the devices that hold addends of it, each term of the sum
/// is computed once. Where operands are pending, that is every product of an addend of one and an addend of the other.
bool each_term_once(const MeshValue& m, const Equation& e, index_t n, const SpecValue& lhs, const SpecValue& rhs,
                    const rules::ContractionVerdict& v) {
  std::vector<char> names;
  for (const DimLabels* l : {&e.out, &e.lhs, &e.rhs})
    for (int d = 0; d < l->rank; ++d)
      if (std::find(names.begin(), names.end(), (*l)[d]) == names.end()) names.push_back((*l)[d]);
  index_t terms = 1;
  for (std::size_t i = 0; i < names.size(); ++i) terms *= n;
  for (index_t t = 0; t < terms; ++t) {
    const auto index = [&](char c) {
      index_t rest = t;
      for (const char name : names) {
        if (name == c) return rest % n;
        rest /= n;
      }
      return index_t{-1};
    };
    const auto holds = [&](const DimLabels& l, const SpecValue& s, index_t device) {
      for (int d = 0; d < l.rank; ++d)
        if (!owns(m, s[d], n, device, index(l[d]))) return false;
      return true;
    };
    for (index_t device = 0; device < m.devices(); ++device) {
      if (!holds(e.out, v.result, device)) continue;
      const index_t left = addends_of(m, lhs), right = addends_of(m, rhs);
      std::vector<int> computed(static_cast<std::size_t>(left * right), 0);  // products of addends
      for (index_t other = 0; other < m.devices(); ++other) {
        if (place(m, ~v.result.partial, other) != place(m, ~v.result.partial, device)) continue;
        if (!holds(e.lhs, v.lhs, other) || !holds(e.rhs, v.rhs, other)) continue;
        if (!holds(e.lhs, lhs, other) || !holds(e.rhs, rhs, other)) return false;  // reads what it does not have
        ++computed[static_cast<std::size_t>(place(m, lhs.partial, other) * right + place(m, rhs.partial, other))];
      }
      for (const int times : computed)
        if (times != 1) return false;
    }
  }
  return true;
}

/// Every device, every element of its shard of a lookup: the row asked for, whichever it is, lies on exactly one of the
/// devices that hold addends (for each addend of the table), and the id on all of them.
bool each_row_once(const MeshValue& m, index_t n, const SpecValue& table, int along, const SpecValue& ids,
                   const rules::GatherVerdict& v, bool beside) {
  const int id_dims = beside ? 1 : ids.rank;
  index_t elements = n;  // of the result, and the row
  for (int o = 0; o < v.result.rank; ++o) elements *= n;
  for (index_t t = 0; t < elements; ++t) {
    const auto digit = [&](int o) {
      index_t rest = t;
      while (o-- > 0) rest /= n;
      return rest % n;
    };
    const index_t row = digit(v.result.rank);
    for (index_t device = 0; device < m.devices(); ++device) {
      bool mine = true;
      for (int o = 0; o < v.result.rank; ++o) mine = mine && owns(m, v.result[o], n, device, digit(o));
      if (!mine) continue;
      for (int i = 0; i < ids.rank; ++i)
        if (!owns(m, ids[i], n, device, digit(beside ? i : along + i))) return false;
      std::vector<int> found(static_cast<std::size_t>(addends_of(m, table)), 0);
      for (index_t other = 0; other < m.devices(); ++other) {
        if (place(m, ~v.result.partial, other) != place(m, ~v.result.partial, device)) continue;
        bool has = owns(m, table[along], n, other, row);
        for (int d = 0; d < table.rank; ++d)
          if (d != along) has = has && owns(m, table[d], n, other, digit(d < along ? d : d - 1 + id_dims));
        if (has) ++found[static_cast<std::size_t>(place(m, table.partial, other))];
      }
      for (const int times : found)
        if (times != 1) return false;
    }
  }
  return true;
}

bool names_each_axis_once(const SpecValue& s) {
  unsigned seen = s.partial;
  for (int d = 0; d < s.rank; ++d) {
    if (s[d].mask() & seen) return false;
    seen |= s[d].mask();
  }
  return true;
}

}  // namespace

TEST_CASE("contraction: what the rule accepts computes every term of every sum once, from what its device has") {
  const Equation equations[] = {{labels("mk"), labels("kn"), labels("mn")}, {labels("bk"), labels("kb"), labels("b")},
                                {labels("k"), labels("k"), labels("")},     {labels("m"), labels("n"), labels("nm")},
                                {labels("bk"), labels("bk"), labels("b")},  {labels("bm"), labels("bn"), labels("nbm")},
                                {labels("ms"), labels("n"), labels("mn")}};
  Dice dice(20260101);
  int accepted = 0, refused = 0;
  for (int i = 0; i < 20000; ++i) {
    const MeshValue m = dice.mesh();
    const Equation& e = equations[dice.below(7)];
    const SpecValue lhs = dice.spec(m, e.lhs.rank, true), rhs = dice.spec(m, e.rhs.rank, true);
    const auto v = rules::contraction(m, lhs, e.lhs, rhs, e.rhs, e.out);
    if (v.fault != rules::ContractionFault::none) {
      ++refused;
      continue;
    }
    ++accepted;
    CAPTURE(i);
    CHECK(names_each_axis_once(v.result));
    CHECK(each_term_once(m, e, m.devices(), lhs, rhs, v));
  }
  CHECK(accepted > 5000);
  CHECK(refused > 4000);
}

TEST_CASE("take and take_along_axis: what the rules accept finds every row once, and its ids on every device") {
  Dice dice(20260102);
  int accepted = 0, refused = 0;
  for (int i = 0; i < 20000; ++i) {
    const MeshValue m = dice.mesh();
    const int rank = 1 + dice.below(2), along = dice.below(rank);
    const bool beside = dice.below(2) == 0;
    const SpecValue table = dice.spec(m, rank, true), ids = dice.spec(m, beside ? rank : dice.below(3), false);
    const auto v = beside ? rules::take_along_axis(m, table, along, ids) : rules::take(m, table, along, ids);
    if (v.fault != rules::GatherFault::none) {
      ++refused;
      continue;
    }
    ++accepted;
    CAPTURE(i);
    CHECK(names_each_axis_once(v.result));
    CHECK(each_row_once(m, m.devices(), table, along, ids, v, beside));
  }
  CHECK(accepted > 5000);
  CHECK(refused > 2000);
}
