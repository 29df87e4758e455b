// Functions of lines: a state that takes one element after the other, and what it says in the end.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <limits>

#include "../core/types.hpp"
#include "../tensor/math.hpp"

namespace tess::lines {

// Each has start() -> state, step(state, element, its place in the line), finish(state) -> result. bf16 arrives as f32.
// Those that also have join(state, state of other elements of the line) may take a line apart; each part sees its elements
// in order, and parts are joined in any.

/// Sums of integers are integers, all others are taken in f64.
template <class T>
using sum_type = std::conditional_t<std::is_integral_v<T>, std::int64_t, f64>;

template <class T>
struct Sum {
  constexpr sum_type<T> start() const { return 0; }
  template <class V>
  constexpr void step(sum_type<T>& s, V v, index_t) const {
    s += static_cast<sum_type<T>>(v);
  }
  constexpr void join(sum_type<T>& s, sum_type<T> other) const { s += other; }
  constexpr sum_type<T> finish(sum_type<T> s) const { return s; }
};
/// Of lines that are `length` long on all devices together.
struct Mean {
  f64 length;
  constexpr f64 start() const { return 0; }
  template <class V>
  constexpr void step(f64& s, V v, index_t) const {
    s += static_cast<f64>(v);
  }
  constexpr void join(f64& s, f64 other) const { s += other; }
  constexpr f64 finish(f64 s) const { return s / length; }
};
template <class T>
struct Product {
  constexpr sum_type<T> start() const { return 1; }
  template <class V>
  constexpr void step(sum_type<T>& s, V v, index_t) const {
    s *= static_cast<sum_type<T>>(v);
  }
  constexpr void join(sum_type<T>& s, sum_type<T> other) const { s *= other; }
  constexpr sum_type<T> finish(sum_type<T> s) const { return s; }
};

/// Of no elements: the smallest value of T. NaN wins.
template <class T>
struct Max {
  using value = std::conditional_t<std::is_same_v<T, bf16>, f32, T>;
  constexpr value start() const {
    if constexpr (std::numeric_limits<value>::has_infinity) return -std::numeric_limits<value>::infinity();
    else return std::numeric_limits<value>::lowest();
  }
  constexpr void step(value& s, value v, index_t) const { s = v > s || v != v ? v : s; }
  constexpr void join(value& s, value other) const { s = other > s || other != other ? other : s; }
  constexpr value finish(value s) const { return s; }
};
template <class T>
struct Min {
  using value = std::conditional_t<std::is_same_v<T, bf16>, f32, T>;
  constexpr value start() const {
    if constexpr (std::numeric_limits<value>::has_infinity) return std::numeric_limits<value>::infinity();
    else return std::numeric_limits<value>::max();
  }
  constexpr void step(value& s, value v, index_t) const { s = v < s || v != v ? v : s; }
  constexpr void join(value& s, value other) const { s = other < s || other != other ? other : s; }
  constexpr value finish(value s) const { return s; }
};

struct Variance {
  struct State {
    f64 count = 0, mean = 0, squares = 0;
  };
  constexpr State start() const { return {}; }
  template <class V>
  constexpr void step(State& s, V v, index_t) const {
    const f64 x = static_cast<f64>(v), off = x - s.mean;
    s.count += 1;
    s.mean += off / s.count;
    s.squares += off * (x - s.mean);
  }
  /// Source: Chan et al. 1979, pairwise.
  constexpr void join(State& s, const State& other) const {
    if (other.count == 0) return;
    const f64 off = other.mean - s.mean, count = s.count + other.count;
    s.mean += off * (other.count / count);
    s.squares += other.squares + off * off * (s.count * (other.count / count));
    s.count = count;
  }
  constexpr f64 finish(const State& s) const { return s.squares / s.count; }
};

struct LogSumExp {
  struct State {
    f64 largest = -std::numeric_limits<f64>::infinity(), sum = 0;  // Σ e^(x - largest)
  };
  constexpr State start() const { return {}; }
  template <class V>
  constexpr void step(State& s, V v, index_t) const {
    const f64 x = static_cast<f64>(v);
    if (x <= s.largest) {
      s.sum += x == s.largest ? 1 : math::exp(x - s.largest);
    } else if (x > s.largest) {
      s.sum = s.sum * math::exp(s.largest - x) + 1;
      s.largest = x;
    } else {
      s.sum = x;  // NaN
    }
  }
  constexpr void join(State& s, const State& other) const {
    const bool less = other.largest < s.largest;
    const f64 of_smaller = less ? other.sum : s.sum, of_larger = less ? s.sum : other.sum;
    const f64 smaller = less ? other.largest : s.largest, larger = less ? s.largest : other.largest;
    s.sum = of_larger + (smaller == larger ? of_smaller : of_smaller * math::exp(smaller - larger));
    s.largest = larger;
  }
  constexpr f64 finish(const State& s) const { return s.largest + math::log(s.sum); }
};

struct ArgMax {
  struct State {
    f64 largest = 0;
    index_t place = -1;
  };
  constexpr State start() const { return {}; }
  template <class V>
  constexpr void step(State& s, V v, index_t i) const {
    const f64 x = static_cast<f64>(v);
    const bool nan_is_first = x != x && s.largest == s.largest;
    if (s.place < 0 || x > s.largest || nan_is_first) s = {x, i};
  }
  constexpr void join(State& s, const State& other) const {
    if (other.place < 0) return;
    const bool nan = s.largest != s.largest, other_nan = other.largest != other.largest;
    const bool equal = nan || other_nan ? nan && other_nan : s.largest == other.largest;
    if (s.place < 0 || (equal ? other.place < s.place : other_nan || (!nan && other.largest > s.largest))) s = other;
  }
  constexpr i32 finish(const State& s) const { return static_cast<i32>(s.place); }
};

}  // namespace tess::lines
