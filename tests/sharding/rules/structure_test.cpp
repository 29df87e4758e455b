// The rules of reshape, slice, pad, concatenate and update by brute force: who holds which element, on random meshes.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include <tess/sharding/rules/concatenate.hpp>
#include <tess/sharding/rules/reshape.hpp>

#include "support/all_specs.hpp"
#include "support/summary.hpp"

using namespace tess;
using namespace tess::rules;

namespace {

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  index_t below(index_t n) { return static_cast<index_t>(engine_() % static_cast<unsigned long>(n)); }
  index_t between(index_t low, index_t high) { return low + below(high - low + 1); }
  template <class T>
  T one_of(const std::vector<T>& all) {
    return all[static_cast<std::size_t>(below(static_cast<index_t>(all.size())))];
  }

 private:
  std::mt19937 engine_;
};

MeshValue random_mesh(Random& random) {
  MeshValue m;
  m.rank = static_cast<int>(random.between(1, 3));
  for (int a = 0; a < m.rank; ++a) m.sizes[static_cast<std::size_t>(a)] = random.between(1, 4);
  return m;
}
bool divides(const MeshValue& m, const SpecValue& s, const ShapeValue& shape) {
  for (int d = 0; d < shape.rank; ++d)
    if (shape[d] % parts(m, s[d]) != 0) return false;
  return true;
}
/// Specs that shape allows, over the axes in `allowed`.
std::vector<SpecValue> specs_of(const MeshValue& m, const ShapeValue& shape, unsigned allowed = ~0u) {
  std::vector<SpecValue> all;
  for (const SpecValue& s : support::all_specs(m.rank, shape.rank))
    if (divides(m, s, shape) && (s.used() & ~allowed) == 0) all.push_back(s);
  return all;
}
/// Row-major numbers of the elements that a device holds, in the order in which it holds them.
std::vector<index_t> held(const MeshValue& m, const SpecValue& s, const ShapeValue& shape, index_t device) {
  std::vector<index_t> all{0};
  for (int d = 0; d < shape.rank; ++d) {
    index_t at = 0;
    for (int i = 0; i < s[d].count; ++i) at = at * m.size(s[d][i]) + m.coordinate(device, s[d][i]);
    const index_t mine = shape[d] / parts(m, s[d]);
    std::vector<index_t> next;
    for (const index_t before : all)
      for (index_t i = 0; i < mine; ++i) next.push_back(before * shape[d] + at * mine + i);
    all = std::move(next);
  }
  return all;
}
template <class F>
bool on_every_device(const MeshValue& m, F f) {
  for (index_t r = 0; r < m.devices(); ++r)
    if (!f(r)) return false;
  return true;
}

ShapeValue random_shape(Random& random, const std::vector<index_t>& extents) {
  ShapeValue s;
  for (index_t d = random.between(1, 3); d > 0; --d) s.push(random.one_of(extents));
  return s;
}
/// A shape of as many elements: the prime factors dealt to new dimensions.
ShapeValue dealt(Random& random, const ShapeValue& shape) {
  ShapeValue s;
  for (index_t d = random.between(1, 4); d > 0; --d) s.push(1);
  index_t n = shape.size();
  for (index_t p = 2; n > 1; ++p)
    for (; n % p == 0; n /= p) s[static_cast<int>(random.below(s.rank))] *= p;
  return s;
}

}  // namespace

TEST_CASE(
    "reshape: accepted if and only if some spec leaves every device its elements in their order, and then that one") {
  Random random(20261121);
  int local = 0, refused = 0;
  for (int i = 0; i < 4000; ++i) {
    const MeshValue m = random_mesh(random);
    const ShapeValue from = random_shape(random, {1, 2, 3, 4, 6, 8, 12}), to = dealt(random, from);
    const SpecValue x = random.one_of(specs_of(m, from));
    const ReshapeVerdict v = reshape(m, from, x, to);
    const auto keeps = [&](const SpecValue& y) {
      return on_every_device(m, [&](index_t r) { return held(m, x, from, r) == held(m, y, to, r); });
    };
    if (v.fault == ReshapeFault::none) {
      CHECK(divides(m, v.result, to));
      CHECK(keeps(v.result));
      ++local;
    } else {
      CHECK(v.fault == ReshapeFault::not_local);
      const auto all = specs_of(m, to);
      CHECK(std::none_of(all.begin(), all.end(), keeps));
      ++refused;
    }
  }
  support::report("random reshapes, seed 20261121",
                  std::to_string(local) + " local, " + std::to_string(refused) + " refused");
  CHECK(local > 500);
  CHECK(refused > 500);
}

TEST_CASE("reshape with run-time extents: what the type promises is what the numbers give, or the run says no") {
  Random random(7);
  int promised = 0, kept = 0;
  for (int i = 0; i < 20000; ++i) {
    const MeshValue m = random_mesh(random);
    const ShapeValue from = random_shape(random, {2, 3, 4, 6, 8}), to = dealt(random, from);
    const SpecValue x = random.one_of(specs_of(m, from));
    ShapeValue f = from, t = to;
    for (int d = 0; d < f.rank; ++d)
      if (random.below(2)) f[d] = dyn;
    for (int d = 0; d < t.rank; ++d)
      if (random.below(2)) t[d] = dyn;
    const ReshapeVerdict typed = reshape_exactly(m, f, x.without(m.trivial()), t);
    const ReshapeVerdict exact = reshape_exactly(m, from, x.without(m.trivial()), to);
    if (f == from && t == to) CHECK(typed.result == exact.result);
    if (typed.fault != ReshapeFault::none) continue;
    ++promised;
    // `check_reshape` compares the two at run time.
    if (exact.fault == ReshapeFault::none && exact.result == typed.result) ++kept;
  }
  CHECK(promised > 5000);
  CHECK(kept > promised / 3);
}

TEST_CASE("a slice along a sharded dimension is local if and only if every shard has its part of it") {
  Random random(11);
  int local = 0;
  for (int i = 0; i < 20000; ++i) {
    const index_t shards = random.between(1, 4), n = shards * random.between(1, 6);
    const index_t start = random.below(n), limit = random.between(start, n), stride = random.between(1, 4);
    std::vector<index_t> taken;
    for (index_t at = start; at < limit; at += stride) taken.push_back(at);
    const auto size = static_cast<index_t>(taken.size());
    bool truth = size > 0 && size % shards == 0;
    for (index_t j = 0; truth && j < size; ++j)
      truth = taken[static_cast<std::size_t>(j)] / (n / shards) == j / (size / shards);
    CHECK(slice_extent(start, limit, stride) == size);
    CHECK(slice_keeps_shards(shards, n, start, limit, stride) == truth);
    local += truth && shards > 1;
  }
  CHECK(local > 100);
}

TEST_CASE("padding a sharded dimension is local if and only if every shard gets its own elements and padding") {
  Random random(13);
  int local = 0;
  for (int i = 0; i < 20000; ++i) {
    const index_t shards = random.between(1, 4), n = shards * random.between(1, 5);
    const Padding pad{random.between(-3, 5), random.between(-3, 5), random.below(3)};
    const index_t size = pad.extent(n);
    if (size < 0) continue;
    bool truth = size > 0 && size % shards == 0;
    for (index_t k = 0; truth && k < n; ++k) {
      const index_t at = pad.low + k * (pad.interior + 1);
      if (at >= 0 && at < size) truth = at / (size / shards) == k / (n / shards);
    }
    CHECK(padding_keeps_shards(shards, n, pad) == truth);
    local += truth && shards > 1 && !pad.none();
  }
  CHECK(local > 100);
}

namespace {

/// Has every device what its shard of the result is made of? source(element of the result) -> (operand, its element).
template <class Source>
bool local(const MeshValue& m, const SpecValue& y, const ShapeValue& result, const std::vector<SpecValue>& x,
           const std::vector<ShapeValue>& shapes, Source source) {
  return on_every_device(m, [&](index_t r) {
    std::vector<std::vector<index_t>> own;
    for (std::size_t i = 0; i < x.size(); ++i) own.push_back(held(m, x[i], shapes[i], r));
    for (const index_t e : held(m, y, result, r)) {
      const auto [operand, element] = source(e);
      const auto& mine = own[static_cast<std::size_t>(operand)];
      if (!std::binary_search(mine.begin(), mine.end(), element)) return false;
    }
    return true;
  });
}

}  // namespace

TEST_CASE(
    "concatenate: accepted only if every device has what its shard is made of, and else no spec over these axes is") {
  Random random(17);
  int accepted = 0, refused = 0;
  for (int i = 0; i < 3000; ++i) {
    const MeshValue m = random_mesh(random);
    const std::vector<ShapeValue> shapes(2, [&] {
      ShapeValue s;
      s.push(random.one_of<index_t>({2, 4, 6, 12})), s.push(random.one_of<index_t>({2, 4, 6}));
      return s;
    }());
    const auto all = specs_of(m, shapes[0]);
    const std::vector<SpecValue> x{random.one_of(all), random.one_of(all)};
    const int at = static_cast<int>(random.below(2));
    const ConcatenateVerdict v = concatenate(m, x.data(), 2, at);
    ShapeValue result = shapes[0];
    result[at] *= 2;
    const auto source = [&](index_t e) {
      const index_t row = e / result[1], column = e % result[1], along = at == 0 ? row : column, n = shapes[0][at];
      const int operand = along >= n;
      return std::pair{operand, at == 0 ? (row - operand * n) * result[1] + column : row * n + column - operand * n};
    };
    if (v.fault == ConcatenateFault::none) {
      CHECK(divides(m, v.result, result));
      CHECK(local(m, v.result, result, x, shapes, source));
      ++accepted;
    } else {
      for (const SpecValue& y : specs_of(m, result, x[0].used() | x[1].used()))
        CHECK_FALSE(local(m, y, result, x, shapes, source));
      ++refused;
    }
  }
  CHECK(accepted > 300);
  CHECK(refused > 300);
}

TEST_CASE("update_slice: accepted only if every device has what its shard is made of, wherever the update goes") {
  Random random(19);
  int accepted = 0;
  for (int i = 0; i < 3000; ++i) {
    const MeshValue m = random_mesh(random);
    ShapeValue whole, part;
    for (int d = 0; d < 2; ++d) {
      whole.push(random.one_of<index_t>({4, 6, 12}));
      part.push(random.below(2) ? whole[d] : random.one_of<index_t>({1, 2, 4}));
    }
    const std::vector<ShapeValue> shapes{whole, part};
    const std::vector<SpecValue> x{random.one_of(specs_of(m, whole)), random.one_of(specs_of(m, part))};
    const ConcatenateVerdict v = update_slice(m, x[0], x[1], window_dims(whole, part));
    if (v.fault != ConcatenateFault::none) continue;
    ++accepted;
    CHECK(divides(m, v.result, whole));
    for (index_t row = 0; row <= whole[0] - part[0]; ++row)
      for (index_t column = 0; column <= whole[1] - part[1]; ++column)
        CHECK(local(m, v.result, whole, x, shapes, [&](index_t e) {
          const index_t r = e / whole[1] - row, c = e % whole[1] - column;
          const bool updated = r >= 0 && r < part[0] && c >= 0 && c < part[1];
          return updated ? std::pair{1, r * part[1] + c} : std::pair{0, e};
        }));
  }
  CHECK(accepted > 300);
}
