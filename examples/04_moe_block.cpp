// Tutorial 4, a mixture-of-experts block of one's own, from parts: one program for every mesh, with its bill.
// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdio>
#include <tess/device/trace.hpp>
#include <tess/io/fill.hpp>
#include <tess/nn/combinators.hpp>
#include <tess/nn/moe_layer.hpp>
#include <tess/nn/rms_norm.hpp>
#include <tuple>
#include <vector>

namespace {

using namespace tess;

struct data;
struct model;

// [quote:experts]
/// The experts: x -> down(max(up(x), 0)²), for rows that are already grouped by expert. Up is [E, D, F], Down [E, F,
/// D].
template <class Up, class Down>
struct SquaredReluExperts {
  Up up{};
  Down down{};

  template <class X>  // how tokens must lie to be multiplied with the first weights
  using input_spec = contracting_spec<X, decltype(Up::weight)>;

  template <class D, class Rows>
  constexpr auto operator()(D& dev, const Rows& rows) const {
    const auto hidden = reduce(dev, up(dev, rows));
    return down(dev, map<f32>(dev, nn::SquaredRelu{}, hidden));
  }

  template <class F>
  void parameters(const nn::Scope& scope, F&& f) {
    up.parameters(scope / "up", f);
    down.parameters(scope / "down", f);
  }
};
// [/quote]

// [quote:block]
constexpr index_t width = 64, hidden = 256, experts = 6;

/// x + moe(rms_norm(x)): six experts of int8 weights, three of them for each token, their shares renormalised.
template <AnyMesh M, class D>
struct Parts {
  template <class T, class S, class Spec>
  using Param = ShardedTensor<T, S, M, Spec, D>;

  using Norm = nn::RMSNorm<Param<f32, Shape<width>, P<None>>>;
  using Router = nn::Router<Param<packed<f32>, Shape<width, experts>, P<None, None>>, nn::SoftmaxTopK<true>>;
  using Up = nn::Linear<Param<packed<q8<1>>, Shape<experts, width, hidden>, P<None, None, model>>>;
  using Down = nn::Linear<Param<packed<q8<4>>, Shape<experts, hidden, width>, P<None, model, None>>>;
  using MoE = nn::MoELayer<Router, SquaredReluExperts<Up, Down>>;
  using Block = nn::Residual<nn::Sequential<Norm, MoE>>;

  static constexpr Block block() { return {nn::Sequential<Norm, MoE>{{Norm{}, MoE{.router = {.selected = 3}}}}}; }
  using X = ShardedTensor<f32, Shape<4, 8, width>, M, P<data, None, None>, D>;  // [batch, tokens, width]
};
// [/quote]

// [quote:bill]
using One = Mesh<Axis<data, 1>, Axis<model, 1>>;
using Grid = Mesh<Axis<data, 2>, Axis<model, 2>>;

template <AnyMesh M>
constexpr Cost bill = trace(Parts<M, Dry>::block(), typename Parts<M, Dry>::X{});

static_assert(bill<One>.collectives == 0);
static_assert(bill<Grid>.collectives == 1);         // the sum over the halves of the hidden layer, once a token …
static_assert(bill<Grid>.bytes == 2 * 8 * 64 * 4);  // … and not once a choice: 2 x 8 tokens of a device, all-reduced
static_assert(bill<Grid>.flops < bill<One>.flops / 3);  // a device does a quarter of the experts' work
static_assert(bill<Grid>.peak_bytes < bill<One>.peak_bytes / 2);
// [/quote]

// [quote:run]
/// The numbers of the block on mesh M; what really moved is compared with the bill.
template <AnyMesh M>
std::vector<f32> run(Host& dev, bool& bill_is_right) {
  auto block = Parts<M, Host>::block();
  int seed = 0;
  block.parameters(nn::Scope("block"), [&](const nn::Scope& path, auto& weight) {
    std::printf("  %-24s %td numbers\n", path.path().c_str(), weight.extents().size());
    io::fill(dev, weight, [s = ++seed](auto... at) {
      index_t i = s;
      ((i = 31 * i + at), ...);
      return 0.3 * std::sin(static_cast<double>(i * i % 1009));
    });
  });
  typename Parts<M, Host>::X x;
  io::fill(dev, x, [](index_t b, index_t t, index_t d) { return std::cos(static_cast<double>(b + 3 * t + 7 * d)); });

  dev.reset_traffic();
  const auto y = block(dev, x);
  bill_is_right = dev.traffic().collectives == bill<M>.collectives && dev.traffic().most_bytes() == bill<M>.bytes;
  return io::to_vector(y);
}
// [/quote]

}  // namespace

int main() {
  Host dev;
  bool one_is_right = false, grid_is_right = false;
  std::printf("On one device:\n");
  const std::vector<f32> one = run<One>(dev, one_is_right);
  std::printf("On 2 x 2 devices:\n");
  const std::vector<f32> grid = run<Grid>(dev, grid_is_right);

  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < one.size(); ++i) {
    difference += std::pow(static_cast<double>(one[i] - grid[i]), 2);
    norm += std::pow(static_cast<double>(one[i]), 2);
  }
  const bool near = std::sqrt(difference / norm) < 1e-6;  // sums of f32 in another order
  std::printf("The first numbers: %.4f %.4f %.4f; on 2 x 2: %.4f %.4f %.4f. Equal up to the order of sums: %s\n",
              one[0], one[1], one[2], grid[0], grid[1], grid[2], near ? "yes" : "no");
  std::printf("\n%-16s%12s %8s %10s %12s   of one device\n", "bill", "collectives", "bytes", "FLOPs", "peak bytes");
  std::printf("%-16s%12td %8td %10td %12td\n", "1 x 1", bill<One>.collectives, bill<One>.bytes, bill<One>.flops,
              bill<One>.peak_bytes);
  std::printf("%-16s%12td %8td %10td %12td\n", "2 x 2", bill<Grid>.collectives, bill<Grid>.bytes, bill<Grid>.flops,
              bill<Grid>.peak_bytes);
  std::printf("What moved was what the bill says: %s\n", one_is_right && grid_is_right ? "yes" : "no");
  return one_is_right && grid_is_right && near ? 0 : 1;
}
