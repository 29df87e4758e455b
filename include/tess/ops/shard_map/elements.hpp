// Elements of blocks: arithmetic, comparisons, any function, a choice. Every device works on its own; no bytes move.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "meet.hpp"

namespace tess {

namespace blocks {

// Functions of two operands, in the type that both become; and of one, where the other is a number, which is finished and
// equal everywhere. What F says of pending operands holds for these too.
template <class F>
struct Promoting {
  static constexpr rules::Algebra algebra = algebra_of<F>();
  template <class A, class B>
  constexpr auto operator()(A a, B b) const {
    using C = promoted<A, B>;
    return F{}(static_cast<C>(a), static_cast<C>(b));
  }
};
template <class F, class T>
struct NumberRight {
  T number;
  static constexpr rules::Algebra algebra{.alone = algebra_of<F>().alone & 1u};
  template <class A>
  constexpr auto operator()(A a) const {
    return Promoting<F>{}(a, number);
  }
};
template <class F, class T>
struct NumberLeft {
  T number;
  static constexpr rules::Algebra algebra{.alone = algebra_of<F>().alone >> 1 & 1u};
  template <class B>
  constexpr auto operator()(B b) const {
    return Promoting<F>{}(number, b);
  }
};
template <class T>
using number_type = std::conditional_t<std::is_same_v<T, bf16>, f32, T>;

template <class F, class A, class B>
constexpr auto arithmetic(const A& a, const B& b) {
  return zip_blocks<element_t<A, B>>(Promoting<F>{}, a, b);
}
template <class F, class A, class N>
constexpr auto with_number_right(const A& a, N n) {
  using T = element_with<A, N>;
  return zip_blocks<T>(NumberRight<F, number_type<T>>{static_cast<number_type<T>>(n)}, a);
}
template <class F, class B, class N>
constexpr auto with_number_left(N n, const B& b) {
  using T = element_with<B, N>;
  return zip_blocks<T>(NumberLeft<F, number_type<T>>{static_cast<number_type<T>>(n)}, b);
}

struct Less {
  template <class T>
  constexpr bool operator()(T a, T b) const {
    return a < b;
  }
};
struct Greater {
  template <class T>
  constexpr bool operator()(T a, T b) const {
    return a > b;
  }
};
struct Equal {
  template <class T>
  constexpr bool operator()(T a, T b) const {
    return a == b;
  }
};
template <class F, class A, class B>
constexpr auto comparison(const A& a, const B& b) {
  if constexpr (Number<B>)
    return zip_blocks<bool>(
        NumberRight<F, number_type<element_with<A, B>>>{static_cast<number_type<element_with<A, B>>>(b)}, a);
  else return zip_blocks<bool>(Promoting<F>{}, a, b);
}
template <class B>
concept BlockOrNumber = AnyBlock<B> || Number<B>;
}  // namespace blocks

// ---- elements. Blocks broadcast to each other as in numpy; along every axis the result varies if one of them does.
// A pending sum may be added to another and multiplied by a number; no number may be added to it, nor divided by it.

template <AnyBlock A, AnyBlock B>
constexpr auto operator+(const A& a, const B& b) {
  return blocks::arithmetic<fn::Add>(a, b);
}
template <AnyBlock A, AnyBlock B>
constexpr auto operator-(const A& a, const B& b) {
  return blocks::arithmetic<fn::Subtract>(a, b);
}
template <AnyBlock A, AnyBlock B>
constexpr auto operator*(const A& a, const B& b) {
  return blocks::arithmetic<fn::Multiply>(a, b);
}
template <AnyBlock A, AnyBlock B>
constexpr auto operator/(const A& a, const B& b) {
  return blocks::arithmetic<fn::Divide>(a, b);
}
template <AnyBlock A, blocks::Number N>
constexpr auto operator+(const A& a, N n) {
  return blocks::with_number_right<fn::Add>(a, n);
}
template <AnyBlock A, blocks::Number N>
constexpr auto operator-(const A& a, N n) {
  return blocks::with_number_right<fn::Subtract>(a, n);
}
template <AnyBlock A, blocks::Number N>
constexpr auto operator*(const A& a, N n) {
  return blocks::with_number_right<fn::Multiply>(a, n);
}
template <AnyBlock A, blocks::Number N>
constexpr auto operator/(const A& a, N n) {
  return blocks::with_number_right<fn::Divide>(a, n);
}
template <blocks::Number N, AnyBlock B>
constexpr auto operator+(N n, const B& b) {
  return blocks::with_number_left<fn::Add>(n, b);
}
template <blocks::Number N, AnyBlock B>
constexpr auto operator-(N n, const B& b) {
  return blocks::with_number_left<fn::Subtract>(n, b);
}
template <blocks::Number N, AnyBlock B>
constexpr auto operator*(N n, const B& b) {
  return blocks::with_number_left<fn::Multiply>(n, b);
}
template <blocks::Number N, AnyBlock B>
constexpr auto operator/(N n, const B& b) {
  return blocks::with_number_left<fn::Divide>(n, b);
}
template <AnyBlock A>
constexpr auto operator-(const A& a) {
  return blocks::zip_blocks<blocks::element_t<A>>(fn::Negate{}, a);
}

template <AnyBlock A, blocks::BlockOrNumber B>
constexpr auto operator<(const A& a, const B& b) {
  return blocks::comparison<blocks::Less>(a, b);
}
template <AnyBlock A, blocks::BlockOrNumber B>
constexpr auto operator>(const A& a, const B& b) {
  return blocks::comparison<blocks::Greater>(a, b);
}
template <AnyBlock A, blocks::BlockOrNumber B>
constexpr auto operator==(const A& a, const B& b) {
  return blocks::comparison<blocks::Equal>(a, b);
}

/// f of every element; what a pending operand may go through, f's algebra says (ops/functions.hpp), any other f: nothing.
template <class F, AnyBlock X>
constexpr auto map(F f, const X& x) {
  return blocks::zip_blocks<blocks::element_t<X>>(f, x);
}

/// a where `pred` holds, else b (a block, or a number): varies along every axis along which one of the three does.
template <AnyBlock Pred, AnyBlock A, AnyBlock B>
constexpr auto where(const Pred& pred, const A& a, const B& b) {
  return blocks::zip_blocks<blocks::element_t<A, B>>(fn::Where{}, pred, a, b);
}
namespace blocks {
template <class T>
struct OrNumber {
  T number;
  template <class P, class V>
  constexpr V operator()(P holds, V v) const {
    return holds ? v : static_cast<V>(number);
  }
};
}  // namespace blocks
template <AnyBlock Pred, AnyBlock A, blocks::Number N>
constexpr auto where(const Pred& pred, const A& a, N n) {
  return blocks::zip_blocks<blocks::element_t<A>>(blocks::OrNumber<N>{n}, pred, a);
}

// ---- constants: equal on all devices. `like` says on which mesh.

namespace blocks {
template <AnyShape L, class T, class F, class X>
constexpr auto constant(const X& like, F f) {
  if constexpr (is_refused<X>) {
    return like;
  } else {
    using M = typename X::mesh;
    using R = Block<T, L, M, state_type<M, state_of<0, 0, 0, X::state.diverging>>, typename X::device>;
    auto& dev = Inside::device(like);
    auto y = fresh<R>(like, Extents<L>{});
    TESS_VERB(dev, fill_by_index, f, y);
    return Inside::block<typename R::varying>(dev, y);
  }
}
}  // namespace blocks

/// A block of local shape L, all of it `value`.
template <AnyShape L, class T = f32, AnyBlock X>
requires(L::is_static) constexpr auto full(const X& like, T value) {
  return blocks::constant<L, T>(like, fn::Constant<T>{value});
}
/// 0, 1, 2, ... N - 1.
template <index_t N, class T = f32, AnyBlock X>
constexpr auto arange(const X& like) {
  return blocks::constant<Shape<N>, T>(like, fn::IndexAlong<0>{});
}

}  // namespace tess
