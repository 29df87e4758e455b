// The elementwise functions by name, and what each promises about values of which a device holds only a part.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../sharding/rules/elementwise.hpp"
#include "../tensor/math.hpp"

namespace tess::fn {

// Functions of numbers. bf16 arrives as f32; f32, f64, i32 and bool arrive as they are. Any other function object of yours
// works as well; unless it has an `algebra`, it is opaque, and all its operands must be finished.

struct Negate {
  static constexpr rules::Algebra algebra{.together = 0b1, .falls = 0b1};
  template <class T>
  constexpr T operator()(T x) const {
    return -x;
  }
};
struct Add {
  static constexpr rules::Algebra algebra{.together = 0b11, .rises = 0b11};
  template <class A, class B>
  constexpr auto operator()(A a, B b) const {
    return a + b;
  }
};
struct Subtract {
  static constexpr rules::Algebra algebra{.together = 0b11, .rises = 0b01, .falls = 0b10};
  template <class A, class B>
  constexpr auto operator()(A a, B b) const {
    return a - b;
  }
};
struct Multiply {
  static constexpr rules::Algebra algebra{.alone = 0b11};
  template <class A, class B>
  constexpr auto operator()(A a, B b) const {
    return a * b;
  }
};
/// a / b; of integers cut off towards zero, where a / 0 is -1 and no quotient overflows, as XLA has it.
template <class A, class B>
constexpr auto quotient(A a, B b) {
  if constexpr (std::is_integral_v<A> && std::is_integral_v<B>) {
    const std::int64_t n = a, d = b;
    return static_cast<std::common_type_t<A, B>>(d == 0 ? -1 : n / d);
  } else {
    return a / b;
  }
}
struct Divide {
  static constexpr rules::Algebra algebra{.alone = 0b01};
  template <class A, class B>
  constexpr auto operator()(A a, B b) const {
    return quotient(a, b);
  }
};
struct Maximum {
  static constexpr rules::Algebra algebra{.rises = 0b11, .joins_max = true};
  template <class T>
  constexpr T operator()(T a, T b) const {
    return a > b || a != a ? a : b;  // NaN wins
  }
};
struct Minimum {
  static constexpr rules::Algebra algebra{.rises = 0b11, .joins_min = true};
  template <class T>
  constexpr T operator()(T a, T b) const {
    return a < b || a != a ? a : b;
  }
};

/// a where w holds, else b. Linear in the cases together; the mask must be finished.
struct Where {
  static constexpr rules::Algebra algebra{.together = 0b110, .rises = 0b110, .joins_max = true, .joins_min = true};
  template <class W, class T>
  constexpr T operator()(W w, T a, T b) const {
    return w ? a : b;
  }
};
/// a where w holds, else zero: the one constant that a pending sum may meet.
struct Masked {
  static constexpr rules::Algebra algebra{.alone = 0b10, .rises = 0b10};
  template <class W, class T>
  constexpr T operator()(W w, T a) const {
    return w ? a : T{};
  }
};

struct Exp {
  static constexpr rules::Algebra algebra{.rises = 0b1};
  template <class T>
  constexpr auto operator()(T x) const {
    if constexpr (std::is_same_v<T, f64>) return math::exp(x);
    else return math::Exp::apply(static_cast<f32>(x));
  }
};
struct Tanh {
  static constexpr rules::Algebra algebra{.rises = 0b1};
  template <class T>
  constexpr auto operator()(T x) const {
    if constexpr (std::is_same_v<T, f64>) return math::tanh(x);
    else return math::Tanh::apply(static_cast<f32>(x));
  }
};

/// 1 / (1 + e^-x)
struct Sigmoid {
  static constexpr rules::Algebra algebra{.rises = 0b1};
  template <class T>
  constexpr auto operator()(T x) const {
    if constexpr (std::is_same_v<T, f64>) return 1 / (1 + math::exp(-x));
    else return 1.0f / (1.0f + math::Exp::apply(-static_cast<f32>(x)));
  }
};

/// x · c, for a number c that every device has.
template <class C>
struct Times {
  C c;
  static constexpr rules::Algebra algebra{.alone = 0b1};
  template <class T>
  constexpr auto operator()(T x) const {
    return x * c;
  }
};
template <class C>
struct Over {
  C c;
  static constexpr rules::Algebra algebra{.alone = 0b1};
  template <class T>
  constexpr auto operator()(T x) const {
    return quotient(x, c);
  }
};
/// F with its results cut off to integers: what is cut off the parts of a sum is not what is cut off the sum.
template <class F>
struct CutOff : F {
  static constexpr rules::Algebra algebra = [] {
    rules::Algebra a = F::algebra;
    a.together = a.alone = 0;
    return a;
  }();
};
/// x + c: of a pending sum every device would add c.
template <class C>
struct Plus {
  C c;
  static constexpr rules::Algebra algebra{.rises = 0b1};
  template <class T>
  constexpr auto operator()(T x) const {
    return x + c;
  }
};
template <class C>
struct Clamp {
  C low, high;
  static constexpr rules::Algebra algebra{.rises = 0b1};
  template <class T>
  constexpr T operator()(T x) const {
    return x < low ? T(low) : x > high ? T(high) : x;
  }
};

/// The same number in another type. Linear up to the rounding of the parts, but not where fractions are cut off; a truth
/// value only tells what is 0.
template <class To, class From>
struct Convert {
  static constexpr bool floating = std::is_same_v<To, bf16> || std::is_floating_point_v<To>;
  static constexpr bool integers = std::is_integral_v<From> && std::is_integral_v<To> && !std::is_same_v<To, bool>;
  static constexpr rules::Algebra algebra{.together = floating || integers ? 1u : 0u,
                                          .rises = std::is_same_v<To, bool> ? 0u : 1u};
  template <class T>
  constexpr auto operator()(T x) const {
    return x;
  }
};

/// Rounds to a format of `Exponent` and `Mantissa` bits, to nearest even; what is too large becomes infinite, what is too
/// small zero. Source: jax/_src/lax/lax.py, reduce_precision (XLA's operation semantics, ReducePrecision).
template <int Exponent, int Mantissa>
struct ReducePrecision {
  static_assert(Exponent >= 1 && Exponent <= 8 && Mantissa >= 0 && Mantissa <= 23);
  static constexpr rules::Algebra algebra{.together = 0b1, .rises = 0b1};
  template <class T>
  constexpr f32 operator()(T wide) const {
    const f32 x = static_cast<f32>(wide);
    auto u = std::bit_cast<std::uint32_t>(x);
    const std::uint32_t sign = u & 0x80000000u;
    if ((u & 0x7fffffffu) > 0x7f800000u) return x;
    if constexpr (Mantissa < 23) {
      constexpr int cut = 23 - Mantissa;
      u = (u + ((1u << (cut - 1)) - 1u) + (u >> cut & 1u)) & ~((1u << cut) - 1u);
    }
    if constexpr (Exponent < 8) {
      constexpr std::uint32_t bias = (1u << (Exponent - 1)) - 1u;
      const std::uint32_t power = u >> 23 & 0xffu;  // biased by 127
      if (power > 127u + bias) u = sign | 0x7f800000u;
      else if (power <= 127u - bias) u = sign;
    }
    return std::bit_cast<f32>(u);
  }
};

}  // namespace tess::fn
