// Two ways to bring a sharded weight and its activations together: which specs meet, and what it costs.
// SPDX-License-Identifier: Apache-2.0
#include <concepts>

#include <tess/device/dry.hpp>
#include <tess/nn/moe_layer.hpp>

namespace {

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 4>, Axis<model, 2>>;

constexpr index_t batch = 4, width = 64, hidden = 256;
template <index_t T>
using X = ShardedTensor<f32, Shape<batch, T, width>, M, P<data, None, model>>;
template <class Spec, class E>
using W = ShardedTensor<packed<E>, Shape<width, hidden>, M, Spec>;
using Rules = W<P<data, model>, q8<1>>;  // as FSDP and Grok-1 shard it: over the batch's axis as well

// ---- the specs that meet

template <class How, class In, class Weight>
concept meets = std::same_as<typename How::template input_spec<X<1>, Rules>, In> &&
    std::same_as<typename How::template weight_spec<X<1>, Rules>, Weight> &&
    MatmulCompatible<with_spec<X<1>, In>, with_spec<Rules, Weight>>;

// [quote:specs]
// The weight stays, and all tokens come to every part of it; or the weight comes whole, and tokens stay with their
// part.
static_assert(meets<nn::WeightStationary, P<None, None, data>, P<data, model>>);
static_assert(meets<nn::Gathered, P<data, None, None>, P<None, model>>);
// [/quote]

// Nothing is done where nothing has to be: without a batch on `data` the weight is not gathered.
using Whole = with_spec<X<1>, P<>>;
static_assert(std::same_as<nn::Gathered::weight_spec<Whole, Rules>, P<data, model>>);
static_assert(std::same_as<nn::InPlace::input_spec<X<1>, Rules>, P<data, None, model>>);

// A gather keeps the first axes of a dimension: `model` minor to `data` goes as well.
static_assert(std::same_as<nn::Gathered::weight_spec<X<1>, W<P<Axes<data, model>>, bf16>>, P<None, None>>);
static_assert(std::same_as<nn::Gathered::weight_spec<X<1>, W<P<Axes<model, data>>, bf16>>, P<model, None>>);

// ---- what it costs

template <class How, class E, index_t T, class Spec = P<data, model>, class Out = P<data, None, model>>
constexpr Cost bill() {
  using L = nn::Linear<W<Spec, E>>;
  Dry dev;
  const auto x = make<with_spec<X<T>, P<data, None, None>>>(dev, {});
  nn::project<Out>(dev, L{}, x, How{});
  return dev.cost;
}

// [quote:bytes]
// Stationary: the tokens of four parts are exchanged, three quarters of a part's x; the sums over `data` come back
// scattered, three quarters of the device's columns for all tokens. All in f32, and by the token.
constexpr index_t exchanged = width * 4 * 3 / 4, scattered = batch * hidden / 2 * 4 * 3 / 4;
static_assert(bill<nn::WeightStationary, q8<1>, 1>().bytes == exchanged + scattered);
static_assert(bill<nn::WeightStationary, q8<1>, 8>().bytes == 8 * bill<nn::WeightStationary, q8<1>, 1>().bytes);
// [/quote]
static_assert(bill<nn::WeightStationary, q8<1>, 1>().collectives == 2);

// [quote:gathered]
// Gathered: three quarters of the weight's half, in its own type, however many tokens there are.
constexpr index_t lacking = width * hidden / 2 * 3 / 4;
static_assert(bill<nn::Gathered, f32, 1>().bytes == lacking * 4 && bill<nn::Gathered, bf16, 1>().bytes == lacking * 2);
static_assert(bill<nn::Gathered, q8<1>, 1>().bytes == lacking);  // every device has the one row of scales already
static_assert(bill<nn::Gathered, q8<1>, 8>().bytes == bill<nn::Gathered, q8<1>, 1>().bytes);
// [/quote]
static_assert(bill<nn::Gathered, q8<1>, 1>().collectives == 1);

// Scales of more groups come along: of eight rows three quarters, where a quarter of the rows has two of them.
static_assert(bill<nn::Gathered, q8<8>, 1>().bytes == lacking + 6 * hidden / 2 * 2);
// Sixteen rows on four devices and four groups of sixteen rows: of the other three devices one row each.
static_assert(bill<nn::Gathered, q8<4>, 1>().bytes == lacking + 3 * hidden / 2 * 2);
// Two groups for four devices: a device lacks the one that it has no part of.
static_assert(bill<nn::Gathered, q8<2>, 1>().bytes == lacking + 1 * hidden / 2 * 2);
// Gathered along its columns, a weight brings the scales of the columns: 3/4 of them in every group of the shard's
// rows.
static_assert(bill<nn::Gathered, q8<8>, 1, P<None, data>, P<data>>().bytes ==
              width * hidden * 3 / 4 + 8 * hidden * 3 / 4 * 2);

// The same work, and the memory of the gathered weight while it is needed.
static_assert(bill<nn::Gathered, f32, 8>().flops == bill<nn::WeightStationary, f32, 8>().flops);
static_assert(bill<nn::Gathered, f32, 1>().peak_bytes >= width * hidden / 2 * 4);

// ---- and so the choice is a matter of the number of tokens, which the compiler makes

// [quote:choice]
template <class E, index_t T>
constexpr bool gather = nn::is_cheaper<nn::Gathered, nn::WeightStationary>([](auto how) {
  return bill<decltype(how), E, T>();
});
static_assert(!gather<q8<1>, 3> && gather<q8<1>, 4>);
static_assert(!gather<f32, 12> && gather<f32, 16>);  // four times the bytes a weight: four times the tokens
// [/quote]

// Another order of bills: whoever pays for calls rather than bytes.
struct FewerCalls {
  constexpr bool operator()(const Cost& a, const Cost& b) const { return a.collectives < b.collectives; }
};
static_assert(nn::is_cheaper<nn::Gathered, nn::WeightStationary>([](auto how) { return bill<decltype(how), f32, 1>(); },
                                                                 FewerCalls{}));

// ---- policies of layers

// A network takes the strategy of its first product; one that has none leaves the weights at rest.
template <class How>
using Product = nn::Linear<Rules, nn::NoBias, How>;
template <class How>
using Network = nn::GatedFeedForward<Product<How>, Product<How>, Product<How>>;
static_assert(std::same_as<Network<nn::InPlace>::strategy, nn::WeightStationary> &&
              std::same_as<Network<nn::Gathered>::strategy, nn::Gathered>);
using Router = nn::Router<ShardedTensor<packed<f32>, Shape<width, 8>, M, P<data>>>;
static_assert(std::same_as<nn::MoELayer<Router, Network<nn::Gathered>>::strategy, nn::Gathered>);

}  // namespace
