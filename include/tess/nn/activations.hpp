// The nonlinear functions of feed-forward networks, evaluated in f32.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../tensor/math.hpp"

namespace tess::nn {

/// 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x³))): the approximation that jax.nn.gelu uses by default.
/// Source: Hendrycks and Gimpel, arXiv 1606.08415.
struct GeluTanh {
  f32 operator()(f32 x) const { return math::GeluTanh::apply(x); }
};

/// x / (1 + exp(-x)). Source: Elfwing et al., arXiv 1702.03118; the gate of SwiGLU networks.
struct Silu {
  f32 operator()(f32 x) const { return math::Silu::apply(x); }
};

/// max(x, 0)². Source: So et al., arXiv 2109.08668.
struct SquaredRelu {
  f32 operator()(f32 x) const { return x > 0 ? x * x : 0.0f; }
};

}  // namespace tess::nn
