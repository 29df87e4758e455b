// Dry runs a program in the compiler and hands over its bill: collectives, bytes, FLOPs and peak memory of one device.
// SPDX-License-Identifier: Apache-2.0
#include <tess/device/dry.hpp>
#include <tess/nn/moe_layer.hpp>
#include <tess/ops/rms_norm.hpp>
#include <tess/ops/take.hpp>

namespace {

using namespace tess;
struct data;
struct model;

template <class M, class S, class Spec, class T = f32>
using Tensor = ShardedTensor<T, S, M, Spec>;

// ---- a Megatron pair: columns of the first weight, rows of the second, one sum at the end
// (Shoeybi et al., arXiv 1909.08053, section 3)

constexpr index_t rows = 8, width = 64, hidden = 256;

template <index_t N, class Out>
constexpr Cost megatron_pair() {
  using M = Mesh<Axis<model, N>>;
  const Tensor<M, Shape<width, hidden>, P<None, model>> up;
  const Tensor<M, Shape<hidden, width>, P<model, None>> down;
  Dry dev;
  const auto x = make<Tensor<M, Shape<rows, width>, P<>>>(dev, {});
  reshard<Out>(dev, matmul(dev, matmul(dev, x, up), down));
  return dev.cost;
}

// On one device nothing moves, and every multiply-add counts two.
static_assert(megatron_pair<1, P<>>().collectives == 0 && megatron_pair<1, P<>>().bytes == 0);
static_assert(megatron_pair<1, P<>>().flops == 2 * 2 * rows * width * hidden);

// On four, one all-reduce: a device receives 2 · 3/4 of the result. The work is divided by four.
static_assert(megatron_pair<4, P<>>().collectives == 1);
static_assert(megatron_pair<4, P<>>().bytes == 2 * 3 * rows * width * 4 / 4);
static_assert(megatron_pair<4, P<>>().flops == megatron_pair<1, P<>>().flops / 4);

// Sequence parallelism: a result sharded over its rows costs half.
static_assert(megatron_pair<4, P<model>>().collectives == 1);
static_assert(2 * megatron_pair<4, P<model>>().bytes == megatron_pair<4, P<>>().bytes);

// Peak memory is what is alive at once: x, the hidden layer's shard and the result; on four devices its addends too.
static_assert(megatron_pair<1, P<>>().peak_bytes == 4 * rows * (width + hidden + width));
static_assert(megatron_pair<4, P<>>().peak_bytes == 4 * rows * (width + hidden / 4 + width + width));

// ---- the verbs

using M = Mesh<Axis<data, 2>, Axis<model, 4>>;

template <class From, class To>
constexpr Cost resharding() {
  Dry dev;
  const auto x = make<Tensor<M, Shape<16, 16>, From>>(dev, {});
  reshard<To>(dev, x);
  return dev.cost;
}

// A slice is free and no collective; the other prices are those of sharding.md, section 2.1.
constexpr index_t whole = 16 * 16 * 4;  // bytes
static_assert(resharding<P<>, P<data>>().collectives == 0 && resharding<P<>, P<data>>().bytes == 0);
static_assert(resharding<P<model>, P<>>().bytes == whole * 3 / 4);
static_assert(resharding<P<data>, P<None, data>>().bytes == whole / 4);
static_assert(resharding<P<data, Partial<model>>, P<data>>().bytes == 2 * (whole / 2) * 3 / 4);
static_assert(resharding<P<data, Partial<model>>, P<data, model>>().bytes == (whole / 2) * 3 / 4);

// To the spec that it already has, a tensor goes for nothing: no byte moves, and none is allocated.
static_assert(resharding<P<data>, P<Axes<data>, None>>() == Cost{.peak_bytes = whole / 2});

// rms_norm_sharded, of rows that are sharded, sums one f32 a row over the mesh axis; of whole rows, nothing.
template <class Spec>
constexpr Cost normalising() {
  Dry dev;
  const Tensor<M, Shape<16>, P<>> scale;
  rms_norm_sharded<f32>(dev, make<Tensor<M, Shape<8, 16>, Spec>>(dev, {}), scale, 1e-5f);
  return dev.cost;
}
static_assert(normalising<P<data>>().bytes == 0 && normalising<P<data>>().collectives == 0);
static_assert(normalising<P<data, model>>().bytes == received_elements(Collective::all_reduce, 4, 4) * 4);

// A lookup in a table whose columns are spread moves nothing; what follows may.
constexpr Cost looking_up() {
  Dry dev;
  const Tensor<M, Shape<64, 16>, P<None, model>, table<bf16>> rows_of_table;
  const auto x = take(dev, rows_of_table, make<Tensor<M, Shape<2, 8>, P<data>, i32>>(dev, {}));
  gather<2>(dev, x);
  return dev.cost;
}
static_assert(looking_up().collectives == 1 && looking_up().bytes == 8 * 16 * 4 * 3 / 4 && looking_up().flops == 0);

// Work is counted once for every repetition, memory is not: repetitions follow one another.
constexpr Cost repeated(index_t n) {
  Dry dev;
  const auto x = make<Tensor<M, Shape<16, 16>, P<None, model>>>(dev, {});
  dev.repeat(n, [&](index_t) { gather<1>(dev, x); });
  return dev.cost;
}
static_assert(repeated(5).bytes == 5 * repeated(1).bytes && repeated(5).collectives == 5);
static_assert(repeated(5).peak_bytes == repeated(1).peak_bytes);
static_assert(repeated(0).bytes == 0);

// ---- a mixture of experts

constexpr index_t experts = 8, selected = 2, tokens = 16;

template <index_t D, index_t N>
constexpr Cost mixture() {
  using Grid = Mesh<Axis<data, D>, Axis<model, N>>;
  using In = nn::Linear<Tensor<Grid, Shape<experts, width, hidden>, P<None, None, model>, packed<q8<1>>>>;
  using Out = nn::Linear<Tensor<Grid, Shape<experts, hidden, width>, P<None, model, None>, packed<q8<8>>>>;
  using Router = nn::Router<Tensor<Grid, Shape<width, experts>, P<>, packed<f32>>>;
  nn::MoELayer<Router, nn::GatedFeedForward<In, In, Out, nn::GeluTanh>> layer;
  layer.router.selected = selected;
  layer.expert_count = experts;
  Dry dev;
  const auto x = make<Tensor<Grid, Shape<2, tokens / 2, width>, P<data>>>(dev, {});
  reduce(dev, layer(dev, x));
  return dev.cost;
}

// Only the routed experts are computed: two of eight, three products each, besides the router.
constexpr index_t expert_flops = 2 * tokens * selected * 3 * width * hidden,
                  router_flops = 2 * tokens * width * experts;
static_assert(mixture<1, 1>().flops == expert_flops + router_flops);
static_assert(mixture<2, 4>().flops == expert_flops / 8 + router_flops / 2);

// One row a token crosses devices, not one a choice: a single all-reduce of the device's own tokens.
static_assert(mixture<1, 1>().collectives == 0 && mixture<1, 1>().bytes == 0);
static_assert(mixture<2, 4>().collectives == 1);
static_assert(mixture<2, 4>().bytes == 2 * 3 * (tokens / 2 * width * 4) / 4);

}  // namespace
