// The sampler on a GPU draws the tokens of the one on the host: every setting, ties, any vocabulary, rows over devices.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <limits>

#include <tess/device/cuda/element_verbs.hpp>
#include <tess/device/cuda/sample_verbs.hpp>
#include <tess/device/cuda/upload.hpp>
#include <tess/generate/sampler.hpp>

#include "support/both_devices.hpp"

using namespace support;
using namespace tess::generate;

namespace {

struct Gpus : cuda::Base, cuda::SampleVerbs<Gpus> {
  using Base::Base;
};
struct data;
template <class M = Mesh<>, class Spec = P<>>
using Logits = ShardedTensor<f32, Shape<dyn, 1, dyn>, M, Spec, Host>;

void check_same(const SampleOutput& found, const SampleOutput& truth) {
  CHECK(found.token_id == truth.token_id);
  CHECK(found.prob.bits == truth.prob.bits);
  for (std::size_t k = 0; k < truth.top_k_probs.size(); ++k) {
    CAPTURE(k);
    CHECK(found.top_k_token_ids[k] == truth.top_k_token_ids[k]);
    CHECK(found.top_k_probs[k].bits == truth.top_k_probs[k].bits);
  }
}

/// Rows [V] of logits: random; in few steps, with many ties; with a few that stand out.
std::vector<f32> rows_of(index_t V) {
  std::vector<f32> all;
  for (int row = 0; row < 3; ++row)
    for (index_t i = 0; i < V; ++i) {
      const f64 x = 8 * noise(row + 11 * V, i);
      all.push_back(static_cast<f32>(row == 0 ? x : row == 1 ? std::floor(x) : i % 97 == 5 ? x + 9 : x / 4));
    }
  return all;
}

void check_all_settings(index_t V, const std::vector<SampleSettings>& settings) {
  CAPTURE(V);
  Gpus dev{cuda::Options{}};
  BothDevices<Gpus> both(dev);
  const std::vector<f32> values = rows_of(V);
  const auto logits = both.tensor<Logits<>>(Extents<Shape<dyn, 1, dyn>>{3, V}, values);
  std::vector<SampleOrder> orders;
  for (std::size_t i = 0; i < settings.size(); ++i)
    for (index_t row = 0; row < 3; ++row)
      orders.push_back(
          {row, settings[i], prng_key(static_cast<std::uint64_t>(V) + 10 * i + static_cast<std::uint64_t>(row))});
  const auto found = dev.sample(logits.device, orders);
  REQUIRE(found.size() == orders.size());
  Sampler sampler;
  for (std::size_t i = 0; i < orders.size(); ++i) {
    CAPTURE(i);
    const auto row =
        std::span(values).subspan(static_cast<std::size_t>(orders[i].row * V), static_cast<std::size_t>(V));
    check_same(found[i], sampler(row, orders[i].settings, orders[i].key));
  }
}

constexpr auto written = SampleArithmetic::as_written, compiled = SampleArithmetic::as_compiled;

}  // namespace

TEST_CASE("tokens, probabilities and reports of the host's sampler, with and without a nucleus") {
  const std::vector<SampleSettings> settings{{1, 1, compiled},    {0, 1, compiled},      {0.7f, 1, written},
                                             {1, 0.9f, compiled}, {0.8f, 0.5f, written}, {1.3f, 0.01f, compiled},
                                             {1, 0, written},     {0, 0.3f, written},    {0.05f, 0.99f, compiled}};
  for (const index_t V : {1, 2, 3, 7, 8, 9, 31, 32, 33, 100, 1000}) check_all_settings(V, settings);
}

TEST_CASE("vocabularies of many chunks: the tree of prefix sums goes through several blocks") {
  const std::vector<SampleSettings> settings{{1, 1, compiled}, {1, 0.9f, compiled}, {0.8f, 0.6f, written}};
  for (const index_t V : {2049, 8191, 8192, 12289, 20001}) check_all_settings(V, settings);
}

TEST_CASE("rows over devices: each is drawn where it lies") {
  using M = Mesh<Axis<data, 2>>;
  Gpus dev{cuda::Options{}};
  BothDevices<Gpus> both(dev);
  const std::vector<f32> values = rows_of(40);
  std::vector<f32> four(values);
  four.insert(four.end(), values.begin(), values.begin() + 40);
  const auto logits = both.tensor<Logits<M, P<data>>>(Extents<Shape<dyn, 1, dyn>>{4, 40}, four);
  Sampler sampler;
  const std::vector<SampleOrder> orders{{3, {}, prng_key(5)}, {0, {}, prng_key(6)}, {2, {0.5f, 0.8f}, prng_key(7)}};
  const auto found = dev.sample(logits.device, orders);
  for (std::size_t i = 0; i < orders.size(); ++i)
    check_same(found[i], sampler(std::span(four).subspan(static_cast<std::size_t>(orders[i].row) * 40, 40),
                                 orders[i].settings, orders[i].key));
}

TEST_CASE("damaged logits and impossible settings are the host's errors") {
  Gpus dev{cuda::Options{}};
  BothDevices<Gpus> both(dev);
  std::vector<f32> values = rows_of(50);
  values[33] = std::numeric_limits<f32>::quiet_NaN();
  values[40] = std::numeric_limits<f32>::infinity();
  values[60] = 3e38f;
  const auto logits = both.tensor<Logits<>>(Extents<Shape<dyn, 1, dyn>>{3, 50}, values);
  const auto error_of = [](auto call) {
    try {
      call();
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("none");
  };
  Sampler sampler;
  for (const SampleOrder& order :
       {SampleOrder{0, {1, 0.5f}, {}}, SampleOrder{0, {}, {}}, SampleOrder{1, {1e-3f, 1}, {}},
        SampleOrder{2, {-1, 1}, {}}, SampleOrder{2, {1, 1.5f}, {}}, SampleOrder{1, {0, 1}, {}}}) {
    const auto row = std::span(values).subspan(static_cast<std::size_t>(order.row) * 50, 50);
    const std::string truth = error_of([&] { sampler(row, order.settings, order.key); });
    CHECK(error_of([&] { dev.sample(logits.device, std::span(&order, 1)); }) == truth);
    CHECK((truth == "none") == (order.settings.temperature == 0));
  }
}

TEST_CASE("four random bytes alone are those among all") {
  for (const index_t n : {1, 2, 3, 4, 5, 7, 8, 9, 12, 13, 4099}) {
    std::vector<std::uint8_t> all;
    random_bytes(prng_key(9), n, all);
    for (index_t i = 0; i < n; ++i) {
      const std::uint32_t word = random_word(prng_key(9), n, i / 4);
      CHECK((word >> (8 * (i % 4)) & 0xffu) == all[static_cast<std::size_t>(i)]);
    }
  }
}
