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
  index_t DV = D, window = 0;
  std::vector<f32> sinks;        // of the heads, or none
  bool values_are_keys = false;  // their first DV columns

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
    fill(q, batch() * T * heads * D);
    fill(k, slots * capacity * kv_heads * D);
    with_values(D);
    for (std::size_t i = 0; i < slot.size(); ++i) spoil(k, D, i, start[i] + count[i], capacity);
  }

  std::mt19937 random{1};
  void fill(std::vector<bf16>& values, index_t n) {
    std::normal_distribution<f32> normal;
    values.resize(static_cast<std::size_t>(n));
    for (bf16& value : values) value = bf16(1.5f * normal(random));
  }
  /// Positions [from, to) of a row's cache are NaN.
  void spoil(std::vector<bf16>& cache, index_t width, std::size_t row, index_t from, index_t to) const {
    const index_t line = kv_heads * width, first = slot[row] * capacity;
    std::fill(cache.begin() + (first + from) * line, cache.begin() + (first + to) * line,
              bf16(std::numeric_limits<f32>::quiet_NaN()));
  }

  index_t batch() const { return static_cast<index_t>(slot.size()); }

  Fixture& with_values(index_t width, bool of_keys = false) {
    DV = width;
    values_are_keys = of_keys;
    fill(v, slots * capacity * kv_heads * DV);
    for (std::size_t i = 0; i < slot.size(); ++i) spoil(v, DV, i, start[i] + count[i], capacity);
    return *this;
  }
  Fixture& with_sinks(f32 around) {
    for (index_t h = 0; h < heads; ++h) sinks.push_back(around + static_cast<f32>(h) / 3);
    return *this;
  }
  /// … and what lies in blocks of 64 positions that no query of the row sees is NaN as well.
  Fixture& with_window(index_t positions) {
    window = positions;
    for (std::size_t i = 0; i < slot.size(); ++i) {
      const index_t unseen = std::max<index_t>(0, start[i] - window + 1) / 64 * 64;
      spoil(k, D, i, 0, unseen);
      spoil(v, DV, i, 0, unseen);
    }
    return *this;
  }

  template <class Y, class C = bf16>
  std::vector<Y> run(int threads, f32 cap) const {
    const std::vector<C> keys(k.begin(), k.end()), values(v.begin(), v.end());
    ThreadPool pool(threads);
    std::vector<Y> out(static_cast<std::size_t>(batch() * T * heads * DV), static_cast<Y>(7.0f));
    Attention<Y, bf16, C> a{batch(),      T,        heads,       kv_heads,      D,          slots,       capacity,
                            kv_heads,     q.data(), keys.data(), values.data(), out.data(), slot.data(), start.data(),
                            count.data(), 0.2f,     cap};
    a.window = window, a.sinks = sinks.empty() ? nullptr : sinks.data(), a.value_dim = DV;
    if (values_are_keys) a.v = keys.data(), a.cached_value_dim = D;
    attention(pool, a);
    return out;
  }

  f64 largest_error(const std::vector<f32>& out, f64 cap) const {
    f64 worst = 0;
    for (index_t b = 0; b < batch(); ++b)
      for (index_t t = 0; t < T; ++t)
        for (index_t h = 0; h < heads; ++h) {
          std::vector<f64> expected(static_cast<std::size_t>(DV)), weight;
          const auto i = static_cast<std::size_t>(b);
          const auto line = [&](index_t s) { return (slot[i] * capacity + s) * kv_heads + h / (heads / kv_heads); };
          const index_t query = ((b * T + t) * heads + h) * D;
          const index_t first = window > 0 ? std::max<index_t>(0, start[i] + t - window + 1) : 0;
          f64 sum = sinks.empty() ? 0 : std::exp(static_cast<f64>(sinks[static_cast<std::size_t>(h)]));
          for (index_t s = first; t < count[i] && s <= start[i] + t; ++s) {
            f64 score = 0;
            for (index_t d = 0; d < D; ++d)
              score += static_cast<f64>(q[static_cast<std::size_t>(query + d)]) *
                       static_cast<f64>(k[static_cast<std::size_t>(line(s) * D + d)]);
            score *= static_cast<f64>(0.2f);
            if (cap > 0) score = cap * std::tanh(score / cap);
            weight.push_back(std::exp(score));
            sum += weight.back();
          }
          for (std::size_t s = 0; s < weight.size(); ++s)
            for (index_t d = 0; d < DV; ++d) {
              const index_t at = line(first + static_cast<index_t>(s));
              const bf16 value =
                  values_are_keys ? k[static_cast<std::size_t>(at * D + d)] : v[static_cast<std::size_t>(at * DV + d)];
              expected[static_cast<std::size_t>(d)] += weight[s] / sum * static_cast<f64>(value);
            }
          for (index_t d = 0; d < DV; ++d) {
            const auto at = static_cast<std::size_t>(((b * T + t) * heads + h) * DV + d);
            const f64 error = std::fabs(expected[static_cast<std::size_t>(d)] - static_cast<f64>(out[at]));
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

namespace {
/// Ragged rows over several splits of the cache, decode at the edges of splits and blocks, an empty row.
std::vector<Fixture> some_rows() {
  return {{3, 12, 2, 40, 2300, {2, 0, 3}, {2200, 0, 5}, {3, 2, 1}},
          {1, 6, 1, 128, 1100, {1, 3, 0}, {1099, 63, 1024}, {1, 1, 1}},
          {70, 3, 3, 7, 80, {0, 1}, {10, 0}, {70, 0}}};
}
void equals_plain_softmax(const Fixture& f) {
  const RestoreCpu restore;
  for (const Cpu& isa : available_cpus()) {
    if (isa.vnni || isa.bf16) continue;
    use_cpu(isa);
    CAPTURE(name(isa));
    CAPTURE(f.D);
    for (const int threads : {1, 16})
      CHECK(f.largest_error(f.run<f32>(threads, 0), 0) < 1e-5);  // 16: splits in parallel
  }
}
}  // namespace

TEST_CASE("attention.values_of_another_width_than_keys") {
  for (const index_t width : {1, 31, 33, 200})
    for (Fixture f : some_rows()) equals_plain_softmax(f.with_values(width));
}
TEST_CASE("attention.values_that_are_the_first_columns_of_the_keys") {
  for (const index_t width : {1, 7, 33})
    for (Fixture f : some_rows()) equals_plain_softmax(f.with_values(std::min(width, f.D), true));
}
TEST_CASE("attention.a_window_smaller_and_larger_than_blocks_and_splits_reads_nothing_outside") {
  for (const index_t window : {1, 8, 63, 64, 65, 1024, 1025, 5000}) {
    CAPTURE(window);
    for (Fixture f : some_rows()) equals_plain_softmax(f.with_window(window));
  }
}
TEST_CASE("attention.sinks_around_below_and_far_above_the_scores") {
  for (const f32 around : {-40.0f, 0.0f, 40.0f})
    for (Fixture f : some_rows()) equals_plain_softmax(f.with_sinks(around));
  for (Fixture f : some_rows()) equals_plain_softmax(f.with_sinks(500));  // nothing is left for the values
  for (Fixture f : some_rows()) equals_plain_softmax(f.with_values(5).with_window(70).with_sinks(3));  // all at once
}

TEST_CASE("attention.a_cache_of_f32_gives_the_same_bits_as_one_of_bf16_with_equal_numbers") {
  const RestoreCpu restore;
  for (const Fixture& f : some_rows())
    for (const Cpu& isa : available_cpus()) {
      if (isa.vnni || isa.bf16) continue;
      use_cpu(isa);
      CAPTURE(name(isa));
      CHECK(f.run<f32, f32>(2, 0) == f.run<f32>(2, 0));
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
  Fixture prompt(60, heads, 2, D, 2500, {1, 2}, {2400, 1000}, {60, 59});
  SUBCASE("seeing all") {}
  SUBCASE("in a window, beside a sink") { prompt.with_window(1030).with_sinks(1); }
  SUBCASE("in a window shorter than a block") { prompt.with_window(5); }
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
