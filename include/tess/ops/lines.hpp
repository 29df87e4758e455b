// Functions of lines: a state that takes one element after the other, and what it says in the end.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cmath>
#include <limits>

#include "../core/types.hpp"
#include "../tensor/dtype.hpp"

namespace tess::lines {

// Each has start() -> state, step(state, element, its place in the line), finish(state) -> result. bf16 arrives as f32.

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
  constexpr f64 finish(f64 s) const { return s / length; }
};
template <class T>
struct Product {
  constexpr sum_type<T> start() const { return 1; }
  template <class V>
  constexpr void step(sum_type<T>& s, V v, index_t) const {
    s *= static_cast<sum_type<T>>(v);
  }
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
  constexpr f64 finish(const State& s) const { return s.squares / s.count; }
};

struct LogSumExp {
  struct State {
    f64 largest = -std::numeric_limits<f64>::infinity(), sum = 0;  // Σ e^(x - largest)
  };
  State start() const { return {}; }
  template <class V>
  void step(State& s, V v, index_t) const {
    const f64 x = static_cast<f64>(v);
    if (x <= s.largest) {
      s.sum += x == s.largest ? 1 : std::exp(x - s.largest);
    } else if (x > s.largest) {
      s.sum = s.sum * std::exp(s.largest - x) + 1;
      s.largest = x;
    } else {
      s.sum = x;  // NaN
    }
  }
  f64 finish(const State& s) const { return s.largest + std::log(s.sum); }
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
  constexpr i32 finish(const State& s) const { return static_cast<i32>(s.place); }
};

}  // namespace tess::lines
