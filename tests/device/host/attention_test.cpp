// attention: against a plain softmax in float64, ragged rows, and a query that is the same however it is computed.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <tess/device/host/attention.hpp>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

using namespace tess;
using namespace tess::host;

namespace {

struct RestoreCpu {
  Cpu before = cpu();
  ~RestoreCpu() { use_cpu(before); }
};

/// A cache and queries with room for every row; what no query may see is NaN.
struct Fixture {
  index_t T, heads, kv_heads, D, capacity;
  std::vector<index_t> slot, start, count;
  index_t slots = 4;
  std::vector<bf16> q, k, v;

  Fixture(index_t T_, index_t heads_, index_t kv_heads_, index_t D_, index_t capacity_, std::vector<index_t> slot_,
          std::vector<index_t> start_, std::vector<index_t> count_)
      : T(T_),
        heads(heads_),
        kv_heads(kv_heads_),
        D(D_),
        capacity(capacity_),
        slot(std::move(slot_)),
        start(std::move(start_)),
        count(std::move(count_)) {
    std::mt19937 random(1);
    std::normal_distribution<f32> normal;
    const auto fill = [&](std::vector<bf16>& values, index_t n) {
      values.resize(static_cast<std::size_t>(n));
      for (bf16& value : values) value = bf16(1.5f * normal(random));
    };
    fill(q, batch() * T * heads * D);
    fill(k, slots * capacity * kv_heads * D);
    fill(v, slots * capacity * kv_heads * D);
    const bf16 nan(std::numeric_limits<f32>::quiet_NaN());
    for (index_t b = 0; b < batch(); ++b) {
      const auto i = static_cast<std::size_t>(b);
      for (index_t at = (slot[i] * capacity + start[i] + count[i]) * kv_heads * D;
           at < (slot[i] + 1) * capacity * kv_heads * D; ++at)
        k[static_cast<std::size_t>(at)] = v[static_cast<std::size_t>(at)] = nan;
    }
  }

  index_t batch() const { return static_cast<index_t>(slot.size()); }

  template <class Y>
  std::vector<Y> run(int threads, f32 cap) const {
    ThreadPool pool(threads);
    std::vector<Y> out(static_cast<std::size_t>(batch() * T * heads * D), static_cast<Y>(7.0f));
    attention(pool, Attention<Y>{batch(), T, heads, kv_heads, D, slots, capacity, kv_heads, q.data(), k.data(),
                                 v.data(), out.data(), slot.data(), start.data(), count.data(), 0.2f, cap});
    return out;
  }

  f64 largest_error(const std::vector<f32>& out, f64 cap) const {
    f64 worst = 0;
    for (index_t b = 0; b < batch(); ++b)
      for (index_t t = 0; t < T; ++t)
        for (index_t h = 0; h < heads; ++h) {
          std::vector<f64> expected(static_cast<std::size_t>(D)), weight;
          const auto i = static_cast<std::size_t>(b);
          const auto cache = [&](index_t s) {
            return ((slot[i] * capacity + s) * kv_heads + h / (heads / kv_heads)) * D;
          };
          const index_t query = ((b * T + t) * heads + h) * D;
          f64 sum = 0;
          for (index_t s = 0; t < count[i] && s <= start[i] + t; ++s) {
            f64 score = 0;
            for (index_t d = 0; d < D; ++d)
              score += static_cast<f64>(q[static_cast<std::size_t>(query + d)]) *
                       static_cast<f64>(k[static_cast<std::size_t>(cache(s) + d)]);
            score *= static_cast<f64>(0.2f);
            if (cap > 0) score = cap * std::tanh(score / cap);
            weight.push_back(std::exp(score));
            sum += weight.back();
          }
          for (std::size_t s = 0; s < weight.size(); ++s)
            for (index_t d = 0; d < D; ++d)
              expected[static_cast<std::size_t>(d)] +=
                  weight[s] / sum * static_cast<f64>(v[static_cast<std::size_t>(cache(static_cast<index_t>(s)) + d)]);
          for (index_t d = 0; d < D; ++d) {
            const f64 error = std::fabs(expected[static_cast<std::size_t>(d)] -
                                        static_cast<f64>(out[static_cast<std::size_t>(query + d)]));
            worst = error <= worst ? worst : error;  // NaN counts
          }
        }
    return worst;
  }
};

}  // namespace

TEST_CASE("attention.equals_the_plain_softmax") {
  const RestoreCpu restore;
  const Fixture cases[] = {
      {37,
       12,
       2,
       40,
       2300,
       {2, 0, 3},
       {2200, 0, 5},
       {37, 36, 1}},                                     // ragged, several splits, head_dim no multiple of 32
      {1, 6, 1, 128, 1100, {1, 3}, {1099, 63}, {1, 1}},  // decode, at the edges of a split and a block
      {70, 3, 3, 7, 80, {0, 1}, {10, 0}, {70, 0}},       // no groups, an empty row
      {5, 64, 1, 300, 40, {2}, {3}, {5}},                // a group larger than a query block, head_dim > 256
  };
  for (const Fixture& f : cases)
    for (const Cpu& isa : available_cpus()) {
      if (isa.vnni || isa.bf16) continue;
      use_cpu(isa);
      CAPTURE(name(isa));
      CAPTURE(f.D);
      for (const f32 cap : {0.0f, 30.0f}) CHECK(f.largest_error(f.run<f32>(2, cap), static_cast<f64>(cap)) < 1e-5);
    }
}

TEST_CASE("attention.rounds_once_to_bf16") {
  const Fixture f(9, 4, 2, 32, 20, {1}, {0}, {9});
  const auto exact = f.run<f32>(1, 30.0f);
  const auto rounded = f.run<bf16>(1, 30.0f);
  for (std::size_t i = 0; i < exact.size(); ++i) REQUIRE(rounded[i].bits == bf16(exact[i]).bits);
}

TEST_CASE("attention.a_query_is_the_same_alone_in_a_batch_in_a_prompt_and_decoded_bitwise") {
  const RestoreCpu restore;
  const index_t heads = 8, D = 64, row = heads * D;
  const Fixture prompt(60, heads, 2, D, 2500, {1, 2}, {2400, 1000}, {60, 59});
  for (const Cpu& isa : available_cpus()) {
    if (isa.vnni || isa.bf16) continue;
    use_cpu(isa);
    CAPTURE(name(isa));
    const auto expected = prompt.run<f32>(1, 30.0f);
    CHECK(prompt.run<f32>(2, 30.0f) == expected);
    CHECK(prompt.run<f32>(40, 30.0f) == expected);  // splits of the cache in parallel
    for (const index_t b : {0, 1})
      for (const index_t t : {0, 1, 23, 24, 58}) {
        Fixture alone = prompt;
        const auto i = static_cast<std::size_t>(b);
        alone.T = 1;
        alone.slot = {prompt.slot[i]};
        alone.start = {prompt.start[i] + t};
        alone.count = {1};
        alone.q.assign(prompt.q.begin() + (b * 60 + t) * row, prompt.q.begin() + (b * 60 + t + 1) * row);
        for (const int threads : {1, 4}) {
          const auto decoded = alone.run<f32>(threads, 30.0f);
          CHECK(std::equal(decoded.begin(), decoded.end(), expected.begin() + (b * 60 + t) * row));
        }
      }
  }
}

TEST_CASE("attention.large_scores_do_not_overflow") {
  const RestoreCpu restore;
  Fixture f(3, 2, 1, 16, 200, {0}, {150}, {3});
  for (bf16& value : f.q) value = bf16(static_cast<f32>(value) * 1e6f);
  for (const Cpu& isa : available_cpus()) {
    use_cpu(isa);
    for (const f32 value : f.run<f32>(1, 0.0f)) REQUIRE(std::isfinite(value));
    for (const f32 value : f.run<f32>(1, 30.0f)) REQUIRE(std::isfinite(value));
  }
}

TEST_CASE("attention.refuses_what_does_not_fit_the_cache") {
  CHECK_THROWS_AS(([] {
                    Fixture f(2, 4, 2, 8, 10, {1}, {0}, {2});
                    f.start = {9};
                    f.run<f32>(1, 0);
                  }()),
                  Error);
  CHECK_THROWS_AS(([] {
                    Fixture f(2, 4, 2, 8, 10, {1}, {0}, {2});
                    f.slot = {4};
                    f.run<f32>(1, 0);
                  }()),
                  Error);
  CHECK_THROWS_AS(([] {
                    Fixture f(2, 4, 2, 8, 10, {1}, {0}, {2});
                    f.count = {3};
                    f.run<f32>(1, 0);
                  }()),
                  Error);
  CHECK_THROWS_AS(([] {
                    Fixture f(2, 4, 2, 8, 10, {1}, {0}, {2});
                    f.kv_heads = 3;
                    f.run<f32>(1, 0);
                  }()),
                  Error);
}
