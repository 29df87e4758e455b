// Strategies: how a sharded weight and the activations that it multiplies come together, as a policy of layers.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../ops/experts.hpp"
#include "../ops/gather_weights.hpp"
#include "../ops/matmul.hpp"

namespace tess::nn {

namespace detail {
/// The tensor that is multiplied: x itself, or the rows of tokens grouped by expert.
template <class X>
struct multiplied {
  using type = X;
};
template <AnyGrouped G>
struct multiplied<G> {
  using type = decltype(G::rows);
};
template <class X>
using multiplied_t = typename multiplied<std::remove_cv_t<X>>::type;

/// The axes of the experts for which rows are grouped: each device has rows for its own.
template <class X>
inline constexpr unsigned axes_of_experts = 0;
template <AnyGrouped G>
inline constexpr unsigned axes_of_experts<G> =
    spec_value<P<typename G::experts>, typename decltype(G::rows)::mesh, 1>[0].mask();

/// W without the mesh axes that x's batch dimensions lie on, but for those of the experts.
template <class In, class W>
struct gathered_weight {
  using X = multiplied_t<In>;
  static constexpr SpecValue value = [] {
    unsigned batch = 0;
    for (int d = 0; d + 1 < X::rank; ++d) batch |= X::sharding[d].mask();
    batch &= ~axes_of_experts<std::remove_cv_t<In>>;
    return tess::detail::gathered_over(W::sharding, batch & ~trivial_axes<typename W::mesh>());
  }();
};
}  // namespace detail

// A strategy says in which specs x [..., K] P<b..., k> and w [K, N] (or [E, K, N]) meet: `input_spec<X, W>` and
// `weight_spec<X, W>`. Source of both: Pope et al., arXiv 2211.05102, section 3.2.

/// Both stay where they lie. Specs that do not fit are matmul's error, and no byte moves: the rule of the product
/// alone.
struct InPlace {
  template <class X, class W>
  using input_spec = typename detail::multiplied_t<X>::spec;
  template <class X, class W>
  using weight_spec = typename W::spec;
};

/// The weight stays, x moves to it: P<data, None, model> meets P<data, model> as P<None, None, data>, and the product
/// is pending over `data`. Bytes grow with the tokens: for decoding ("2D weight-stationary", section 3.2.2).
struct WeightStationary {
  template <class X, class W>
  using input_spec = contracting_spec<detail::multiplied_t<X>, W>;
  template <class X, class W>
  using weight_spec = typename W::spec;
};

/// The weight is gathered over the axes of x's batch, and thrown away after the product: P<data, None, model> meets
/// P<data, model> as P<None, model>. Bytes do not depend on the tokens: for prefill ("weight-gathered", section 3.2.3;
/// FSDP, which shards a batch over all devices, is the same with no other axis).
struct Gathered {
  template <class X, class W>
  using weight_spec = spec_type<typename W::mesh, detail::gathered_weight<X, W>>;
  template <class X, class W>
  using input_spec = contracting_spec<detail::multiplied_t<X>, with_spec<W, weight_spec<X, W>>>;
};

/// The operands of a product, where they can be multiplied.
template <class X, class W>
struct Operands {
  X x;
  W w;
};

/// x and w where strategy `How` wants them; moves what has to move, and nothing that lies there already.
template <class How, class D, class X, AnyTensor W>
constexpr auto bring_together(D& dev, const X& x, const W& w) {
  if constexpr (std::is_same_v<How, InPlace>) {
    return Operands<X, W>{x, w};
  } else {
    const auto in = reshard<typename How::template input_spec<X, W>>(dev, x);
    const auto weight = gather_weights<typename How::template weight_spec<X, W>>(dev, w);
    return Operands<std::remove_cv_t<decltype(in)>, std::remove_cv_t<decltype(weight)>>{in, weight};
  }
}

/// What a layer of several products does when its own products say InPlace: leave the weights at rest.
template <class How>
using or_stationary = std::conditional_t<std::is_same_v<How, InPlace>, WeightStationary, How>;

// ---- the choice between two strategies is a matter of their bills

/// Fewer bytes; of equally many, fewer collectives.
struct FewerBytes {
  constexpr bool operator()(const Cost& a, const Cost& b) const {
    return a.bytes != b.bytes ? a.bytes < b.bytes : a.collectives < b.collectives;
  }
};

/// Is A strictly cheaper than B? `bill(strategy)` is a program's Cost under a strategy; another order of bills, such as
/// predicted time on a machine, may be given. A constant expression wherever the bills are.
template <class A, class B, class Bill, class Cheaper = FewerBytes>
constexpr bool is_cheaper(const Bill& bill, Cheaper cheaper = {}) {
  return cheaper(bill(A{}), bill(B{}));
}

}  // namespace tess::nn
