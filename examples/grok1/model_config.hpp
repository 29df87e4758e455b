// A configuration as a type: its sizes, and the policies that it may name.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <tess/nn/router.hpp>

#include "config.hpp"

namespace grok1 {

using namespace tess;  // the names of the library are the vocabulary of the model's files

/// A configuration as a type: `struct Mine { static constexpr LanguageModelConfig value{...}; }`. Sizes that are dyn
/// are taken from the checkpoint at run time; numbers that are no sizes (multipliers, cap, …) from the value given to
/// the constructor. It may also name policies: `routing`, `cache_type`, `weight_type`, `prefill`, `decode`.
template <class C>
concept AnyConfig = requires {
  C::value.model.emb_size;
};
struct Grok1Config {
  static constexpr LanguageModelConfig value = grok_1;
};
struct TinyConfig {
  static constexpr LanguageModelConfig value = tiny;
};
struct MediumConfig {
  static constexpr LanguageModelConfig value = medium;
};

/// nn::WeightStationary or nn::Gathered, whichever moves fewer bytes in the pass at hand.
struct ByBill {};

namespace detail {
template <class C>
struct routing {  // softmax over all experts, the k best, not renormalised
  using type = nn::SoftmaxTopK<>;
};
template <class C>
requires requires { typename C::routing; }
struct routing<C> {
  using type = typename C::routing;
};
template <class C>
struct cache_type {  // of keys and values
  using type = bf16;
};
template <class C>
requires requires { typename C::cache_type; }
struct cache_type<C> {
  using type = typename C::cache_type;
};
template <class C>
struct weight_type {  // of the linear layers of a checkpoint without int8
  using type = f32;
};
template <class C>
requires requires { typename C::weight_type; }
struct weight_type<C> {
  using type = typename C::weight_type;
};
template <class C>
struct prefill_strategy {  // for weights that lie where the batch lies, in passes of several tokens a row
  using type = ByBill;
};
template <class C>
requires requires { typename C::prefill; }
struct prefill_strategy<C> {
  using type = typename C::prefill;
};
template <class C>
struct decode_strategy {  // … of one token a row
  using type = ByBill;
};
template <class C>
requires requires { typename C::decode; }
struct decode_strategy<C> {
  using type = typename C::decode;
};
}  // namespace detail

}  // namespace grok1
