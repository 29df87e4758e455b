// Fewer key/value heads than the model axis: neighbours hold the same ones, named in the spec as a part of the axis.
// SPDX-License-Identifier: Apache-2.0
#include <concepts>

#include "support/golden_mesh.hpp"

using namespace tess::test;
using namespace tess;

namespace {

/// Grok-1 on 16 devices: eight pairs, one key/value head a pair.
using Sixteen = Mesh<Axis<grok1::data, 1>, Axis<grok1::model, 8, 2>>;
using T = grok1::Types<grok1::Grok1Config, Sixteen, Dry>;
using Eighth = Sub<grok1::model, 1, 8>;

static_assert(std::same_as<T::KeyValueAxis, Eighth>);
static_assert(std::same_as<decltype(T::Cache::keys)::spec, P<grok1::data, None, Eighth, None>>);
static_assert(decltype(T::Cache::keys)::local_shape::extents[2] == 1);
static_assert(std::same_as<decltype(T::MHABlock{}.key.weight)::spec, P<grok1::data, Eighth>>);
static_assert(std::same_as<decltype(T::MHABlock{}.query.weight)::spec, P<grok1::data, grok1::model>>);

// Where the heads divide, the rules are the reference's, parts or not; one head for all devices lies on all of them.
template <index_t Heads, index_t... Parts>
using axis = grok1::key_value_axis<Mesh<Axis<grok1::data, 2>, Axis<grok1::model, Parts...>>, Heads>;
static_assert(std::same_as<axis<8, 8>, grok1::model> && std::same_as<axis<16, 8, 2>, grok1::model>);
static_assert(std::same_as<axis<8, 4, 2, 2>, Sub<grok1::model, 1, 8>>);
static_assert(std::same_as<axis<1, 2, 2>, Axes<>>);
static_assert(std::same_as<axis<8, 16>, grok1::model>);  // no parts: a layer with it does not compile
static_assert(std::same_as<axis<dyn, 8, 2>, Eighth> && std::same_as<axis<dyn, 8>, grok1::model>);

constexpr Cost decode_step(auto mesh) {
  using M = decltype(mesh);
  Dry dev;
  const grok1::LanguageModel<grok1::Grok1Config, M, Dry> model;
  auto memory = model.init_memory(dev, 1, 8192);
  const auto ids = make<typename grok1::Types<grok1::Grok1Config, M, Dry>::Tokens>(dev, Extents<Shape<dyn, dyn>>{1, 1});
  const Segment rows[] = {{0, 100, 1}};
  (void)model(dev, ids, memory, rows);
  return dev.cost;
}
constexpr Cost sixteen = decode_step(Sixteen{}),
               eight = decode_step(Mesh<Axis<grok1::data, 1>, Axis<grok1::model, 8>>{});

// Everything is halved but the routers and the products with key and value: a pair computes its head twice.
constexpr index_t layers = 64, router = layers * 2 * 6144 * 8, keys_and_values = layers * 2 * 2 * 6144 * 128;
static_assert(2 * (sixteen.flops - router - keys_and_values) == eight.flops - router - keys_and_values);

/// Two key/value heads; eight query heads.
struct TwoHeads {
  static constexpr LanguageModelConfig value = golden_config({.emb_size = 64,
                                                              .key_size = 16,
                                                              .num_q_heads = 8,
                                                              .num_kv_heads = 2,
                                                              .num_layers = 3,
                                                              .vocab_size = 128,
                                                              .widening_factor = 6,
                                                              .attn_output_multiplier = 0.25,
                                                              .num_experts = 4,
                                                              .num_selected_experts = 2});
};
using C = Variant<TwoHeads, nn::SoftmaxTopK<>, f32>;

struct Numbers {
  Values prefill, decode, keys;
  index_t bytes = 0;
};
template <index_t Data, index_t... Model>
Numbers run() {
  Loaded<C, Data, Model...> grok(std::uint64_t{3});
  Generation<C, Data, Model...> generation(grok, 2);
  std::vector<i32> prompt;
  for (i32 i = 0; i < 2 * 9; ++i) prompt.push_back(i * 37 % 128);
  Numbers n;
  n.prefill = generation.feed(prompt, {9, 5});
  n.decode = generation.step(std::vector<i32>{3, 77});
  n.keys = generation.keys(2);
  n.bytes = grok.dev.traffic().most_bytes();
  return n;
}

template <index_t Data, index_t... Model>
void equals_one_device() {
  static const Numbers one = run<1, 1>();
  const Numbers n = run<Data, Model...>();
  CHECK(relative_error(n.prefill, one.prefill) < two_int8_terms + rounded_logits);
  CHECK(relative_error(n.decode, one.decode) < two_int8_terms + rounded_logits);
  CHECK(relative_error(n.keys, one.keys) < two_int8_terms);
  using M = typename Loaded<C, Data, Model...>::M;
  const Cost prefill = bill<C, M>(9, segments(std::vector<index_t>{9, 5}), Strategy::by_bill);
  const Cost decode =
      bill<C, M>(1, segments(std::vector<index_t>{1, 1}, std::vector<index_t>{9, 5}), Strategy::by_bill);
  CHECK(n.bytes == prefill.bytes + decode.bytes);
}

}  // namespace

TEST_CASE("two key/value heads on four devices, each on two of them") { equals_one_device<1, 2, 2>(); }
TEST_CASE("two key/value heads on 2 x 4 devices") { equals_one_device<2, 2, 2>(); }
TEST_CASE("moe12 on 1x16: eight key/value heads on eight pairs, one query head a device") {
  check_mesh<MoeOnMesh, 1, 8, 2>("moe12", two_int8_terms);
}
