// Experts over mesh axes: how tokens and results lie, and the most that can travel, as constants.
// SPDX-License-Identifier: Apache-2.0
#include <concepts>

#include <tess/device/dry.hpp>
#include <tess/nn/moe_layer.hpp>

namespace {

using namespace tess;
struct data;
struct expert;
struct model;

constexpr index_t batch = 8, T = 4, width = 64, hidden = 128, experts = 16, k = 2;
template <class M, class Spec, class Elements = f32>
using Tokens = ShardedTensor<Elements, Shape<batch, T, width>, M, Spec>;

// [quote:layer]
// Whole experts over `expert`, columns and rows of each over `model`.
template <class M>
using In = nn::Linear<ShardedTensor<packed<bf16>, Shape<experts, width, hidden>, M, P<expert, None, model>>>;
template <class M>
using Out = nn::Linear<ShardedTensor<packed<bf16>, Shape<experts, hidden, width>, M, P<expert, model, None>>>;
template <class M>
using Router = nn::Router<ShardedTensor<packed<f32>, Shape<width, experts>, M, P<>>>;
template <class M>
using Layer = nn::MoELayer<Router<M>, nn::GatedFeedForward<In<M>, In<M>, Out<M>>>;

using M = Mesh<Axis<data, 2>, Axis<expert, 4>, Axis<model, 2>>;
// [/quote]

template <class Grid, class Spec, class How>
constexpr auto run(Dry& dev, How how) {
  Layer<Grid> layer;
  layer.router.selected = k;
  return layer(dev, make<Tokens<Grid, Spec>>(dev, {}), how);
}
template <class Grid, class Spec, class How = nn::WeightStationary>
using result = typename decltype(run<Grid, Spec>(std::declval<Dry&>(), How{}))::spec;
template <class Grid, class Spec, class How = nn::WeightStationary>
constexpr Cost bill() {
  Dry dev;
  run<Grid, Spec>(dev, How{});
  return dev.cost;
}

// [quote:specs]
// Where `expert` shards the tokens they travel and come back: only the columns' sum is pending.
static_assert(std::same_as<result<M, P<Axes<data, expert>>>, P<Axes<data, expert>, None, None, Partial<model>>>);
// Where it does not, every device adds what its own experts make of the same tokens.
static_assert(std::same_as<result<M, P<data>>, P<data, None, None, Partial<expert, model>>>);
// Experts may come to the tokens instead.
static_assert(
    std::same_as<result<M, P<Axes<data, expert>>, nn::Gathered>, P<Axes<data, expert>, None, None, Partial<model>>>);
// [/quote]

// [quote:bill]
// The most: every token of the three other devices comes, with two choices and their weights, and each device says how
// many come; every token returns from two devices.
constexpr Cost travelling = bill<M, P<Axes<data, expert>>>();
constexpr index_t n = batch * T / (2 * 4);  // tokens of a device
constexpr index_t going = 3 * (4 + n * (4 * width + 8 * k)), coming = 2 * n * 4 * width;
static_assert(travelling.collectives == 2 && travelling.bytes == going + coming);
static_assert(travelling.transfers.size() == 1);
static_assert(travelling.transfers[0] == TransferLine{.kind = Collective::all_to_all,
                                                      .axes = 1u << M::axis_index<expert>,
                                                      .devices = 4,
                                                      .between_hosts = false,
                                                      .count = 2,
                                                      .messages = 2 * 3,
                                                      .bytes = going + coming});
// [/quote]

// Tokens that stay cost nothing; experts that come, whatever the tokens are.
static_assert(bill<M, P<data>>().bytes == 0);
constexpr index_t lacking = 3 * experts / 4 * (3 * width * hidden / 2) * 2;
static_assert(bill<M, P<Axes<data, expert>>, nn::Gathered>().bytes == lacking);

// The axis may be in parts, of which one runs between hosts; of size 1, or absent from the specs, nothing moves.
using Hosts = Mesh<Axis<data, 2>, HybridAxis<expert, 2, 2>, Axis<model, 2>>;
static_assert(bill<Hosts, P<Axes<data, expert>>>().bytes == travelling.bytes);
static_assert(bill<Hosts, P<Axes<data, expert>>>().bytes_between_hosts() == travelling.bytes);
using Alone = Mesh<Axis<data, 2>, Axis<expert, 1>, Axis<model, 2>>;
static_assert(bill<Alone, P<Axes<data, expert>>>().collectives == 0);
static_assert(std::same_as<result<Alone, P<Axes<data, expert>>>, result<M, P<Axes<data, expert>>>>);

// Work is billed for the most rows, too: of a token as many as it has choices, but not more than there are experts.
constexpr index_t rows = 4 * n * k;
static_assert(travelling.flops == 2 * n * width * experts + 2 * rows * 3 * width * hidden / 2);

}  // namespace
