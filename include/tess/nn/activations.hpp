// The nonlinear functions of feed-forward networks, evaluated in f32.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../tensor/math.hpp"

namespace tess::nn {

/// 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x³))): the approximation that jax.nn.gelu uses by default.
/// Source: Hendrycks and Gimpel, arXiv 1606.08415.
struct GeluTanh {
  constexpr f32 operator()(f32 x) const { return math::GeluTanh::apply(x); }
};

/// x / (1 + exp(-x)). Source: Elfwing et al., arXiv 1702.03118; the gate of SwiGLU networks.
struct Silu {
  constexpr f32 operator()(f32 x) const { return math::Silu::apply(x); }
};

/// max(x, 0)². Source: So et al., arXiv 2109.08668.
struct SquaredRelu {
  constexpr f32 operator()(f32 x) const { return x > 0 ? x * x : 0.0f; }
};

/// act(gate) · up: how an activation of one number makes the hidden layer of a gated network.
template <class Activation>
struct GatedBy {
  Activation activation{};  // a kernel's parameter: nvcc takes no empty types, as [[no_unique_address]] would make
  constexpr f32 operator()(f32 gate, f32 up) const { return activation(gate) * up; }
};

// Activations of two numbers, gate and up, for networks in which the gate does more than to multiply.

/// (up + 1) g sigmoid(alpha g) with g = min(gate, limit) and up within ±limit. Source: GPT-OSS, arXiv 2508.10925.
struct ClampedSwiGLU {
  f32 limit = 7, alpha = 1.702f;
  constexpr f32 operator()(f32 gate, f32 up) const {
    const f32 g = gate > limit ? limit : gate, below = up > limit ? limit : up, u = below < -limit ? -limit : below;
    return (u + 1) * (g / (1.0f + math::Exp::apply(-alpha * g)));
  }
};

}  // namespace tess::nn
