// matmul: every type on every instruction set against float64, rows independent of their batch, two terms exact.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <tess/device/host/gemm.hpp>
#include <tess/device/host/pack.hpp>

#include <algorithm>
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

template <class T>
T& at(std::vector<T>& v, index_t i) {
  return v[static_cast<std::size_t>(i)];
}
template <class T>
const T& at(const std::vector<T>& v, index_t i) {
  return v[static_cast<std::size_t>(i)];
}

template <class X>
std::vector<X> normal_values(index_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<f32> normal;
  std::vector<X> values(static_cast<std::size_t>(count));
  for (X& value : values) value = static_cast<X>(normal(random));
  return values;
}

/// W[K, N], packed and as float64.
template <class E>
struct Weight {
  Packed<E> packed;
  std::vector<f64> value;
};

template <class E>
Weight<E> make_weight(ThreadPool& pool, index_t K, index_t N, index_t group_rows, unsigned seed = 1) {
  Weight<E> w;
  std::mt19937 random(seed);
  if constexpr (std::is_same_v<E, std::int8_t>) {
    std::vector<std::int8_t> q(static_cast<std::size_t>(K * N));
    for (auto& value : q) value = static_cast<std::int8_t>(random() % 256 - 128);
    std::vector<bf16> scale(static_cast<std::size_t>((K + group_rows - 1) / group_rows * N));
    for (auto& value : scale) value = bf16(0.005f + static_cast<f32>(random() % 1000) * 1e-5f);
    w.packed = pack_q8(pool, Source<std::int8_t>{reinterpret_cast<const std::byte*>(q.data()), N}, K, N,
                       Source<bf16>{reinterpret_cast<const std::byte*>(scale.data()), N * 2}, group_rows);
  } else {
    const auto values = normal_values<E>(K * N, seed);
    w.packed = pack<E>(
        pool, Source<E>{reinterpret_cast<const std::byte*>(values.data()), N * static_cast<index_t>(sizeof(E))}, K, N);
  }
  for (index_t k = 0; k < K; ++k)
    for (index_t n = 0; n < N; ++n) w.value.push_back(static_cast<f64>(unpack(w.packed, k, n)));
  return w;
}

/// Root mean square of y - x w in float64, relative to that of x w.
template <class X, class Y>
f64 relative_error(const std::vector<X>& x, const std::vector<f64>& w, const std::vector<Y>& y, index_t M, index_t K,
                   index_t N) {
  f64 error = 0, norm = 0;
  std::vector<f64> row(static_cast<std::size_t>(N));
  for (index_t m = 0; m < M; ++m) {
    std::fill(row.begin(), row.end(), 0.0);
    for (index_t k = 0; k < K; ++k) {
      const f64 value = static_cast<f64>(static_cast<f32>(at(x, m * K + k)));
      for (index_t n = 0; n < N; ++n) at(row, n) += value * at(w, k * N + n);
    }
    for (index_t n = 0; n < N; ++n) {
      const f64 difference = static_cast<f64>(static_cast<f32>(at(y, m * N + n))) - at(row, n);
      error += difference * difference;
      norm += at(row, n) * at(row, n);
    }
  }
  return std::sqrt(error / norm);
}

template <class X, class E, class Y>
f64 error_of(ThreadPool& pool, const Weight<E>& w, const std::vector<X>& x, index_t M,
             Activations activations = Activations::two_terms) {
  const index_t K = w.packed.rows(), N = w.packed.columns();
  std::vector<Y> y(static_cast<std::size_t>(M * N), static_cast<Y>(std::numeric_limits<f32>::quiet_NaN()));
  matmul(pool, Problem<X, Packed<E>, Y>{x.data(), K, &w.packed, y.data(), N, M}, activations);
  return relative_error(x, w.value, y, M, K, N);
}

template <class X, class E>
void check_shapes(f64 bound) {
  const RestoreCpu restore;
  ThreadPool pool(2);
  struct Case {
    index_t K, N, M, group_rows;
  };
  const Case cases[] = {{22, 33, 7, 22},    {33, 7, 3, 11},      {64, 32, 6, 8},       {64, 1, 2, 64},
                        {4096, 33, 1, 512}, {301, 45, 64, 7},    {700, 100, 130, 300}, {33, 1000, 5, 1},
                        {513, 65, 4, 513},  {4096, 40, 13, 4096}};
  for (const Case& c : cases) {
    const auto w = make_weight<E>(pool, c.K, c.N, c.group_rows);
    const auto x = normal_values<X>(c.M * c.K, 2);
    for (const Cpu& isa : available_cpus()) {
      use_cpu(isa);
      CAPTURE(name(isa));
      CAPTURE(c.K);
      CAPTURE(c.N);
      CAPTURE(c.M);
      CHECK(error_of<X, E, f32>(pool, w, x, c.M) < bound);
      CHECK(error_of<X, E, bf16>(pool, w, x, c.M) < 3e-3);  // its rounding
    }
  }
}

}  // namespace

TEST_CASE("matmul.f32_weights") { check_shapes<f32, f32>(2e-6), check_shapes<bf16, f32>(2e-6); }
TEST_CASE("matmul.bf16_weights") { check_shapes<bf16, bf16>(2e-6); }
TEST_CASE("matmul.bf16_weights_f32_activations") { check_shapes<f32, bf16>(1e-5); }
TEST_CASE("matmul.int8_weights") { check_shapes<bf16, std::int8_t>(6e-5), check_shapes<f32, std::int8_t>(6e-5); }

TEST_CASE("matmul.two_terms_are_exact_where_one_is_not") {
  // Error relative to float64; the reference (bf16 weights) has 1.6e-3. Outliers: 0.2 % of the channels, 60 times
  // larger.
  const RestoreCpu restore;
  ThreadPool pool(2);
  const index_t M = 4, K = 4096, N = 96;
  const auto w = make_weight<std::int8_t>(pool, K, N, K);
  const auto gaussian = normal_values<f32>(M * K, 3);
  auto outliers = gaussian;
  for (index_t k = 0; k < K; k += 500)
    for (index_t m = 0; m < M; ++m) at(outliers, m * K + k) *= 60.0f;
  for (const Cpu& isa : available_cpus()) {
    use_cpu(isa);
    CAPTURE(name(isa));
    CHECK(error_of<f32, std::int8_t, f32>(pool, w, gaussian, M) < 5e-5);
    CHECK(error_of<f32, std::int8_t, f32>(pool, w, outliers, M) < 2e-4);
    if (!isa.vnni) continue;  // activations stay f32
    CHECK(error_of<f32, std::int8_t, f32>(pool, w, gaussian, M, Activations::one_term) > 3e-3);
    CHECK(error_of<f32, std::int8_t, f32>(pool, w, gaussian, M, Activations::one_term) < 2e-2);
    CHECK(error_of<f32, std::int8_t, f32>(pool, w, outliers, M, Activations::one_term) > 1e-2);
  }
}

TEST_CASE("matmul.one_term_of_bf16_weights_rounds_the_activations") {
  const RestoreCpu restore;
  ThreadPool pool(2);
  const index_t M = 7, K = 1024, N = 96;
  const auto w = make_weight<bf16>(pool, K, N, K);
  const auto x = normal_values<f32>(M * K, 3);
  for (const Cpu& isa : available_cpus()) {
    use_cpu(isa);
    CAPTURE(name(isa));
    CHECK(error_of<f32, bf16, f32>(pool, w, x, M) < 2e-5);
    if (!isa.bf16) continue;  // activations stay f32
    CHECK(error_of<f32, bf16, f32>(pool, w, x, M, Activations::one_term) > 3e-4);
    CHECK(error_of<f32, bf16, f32>(pool, w, x, M, Activations::one_term) < 4e-3);
  }
}

TEST_CASE("matmul.extreme_int8_sums_do_not_overflow") {
  const RestoreCpu restore;
  ThreadPool pool(1);
  const index_t K = 1024;
  for (const int q : {-128, 127}) {
    const std::vector<std::int8_t> values(static_cast<std::size_t>(K), static_cast<std::int8_t>(q));
    const std::vector<bf16> scale{bf16(1.0f)};
    const auto w = pack_q8(pool, Source<std::int8_t>{reinterpret_cast<const std::byte*>(values.data()), 1}, K, 1,
                           Source<bf16>{reinterpret_cast<const std::byte*>(scale.data()), 2}, K);
    const std::vector<f32> x(static_cast<std::size_t>(K), -3.0f);
    for (const Cpu& isa : available_cpus()) {
      use_cpu(isa);
      f32 y = 0;
      matmul(pool, Problem<f32, PackedQ8, f32>{x.data(), K, &w, &y, 1, 1});
      CHECK(y == doctest::Approx(-3.0 * q * K).epsilon(1e-6));
    }
  }
}

namespace {
/// Every row alone, and by any number of threads, is bitwise what it is in the batch.
template <class X, class E>
void check_rows_alone() {
  const RestoreCpu restore;
  ThreadPool serial(1), parallel(3);
  const index_t M = 301, K = 333, N = 200;  // more than one part of rows, panels together and alone
  const auto w = make_weight<E>(serial, K, N, 100);
  const auto x = normal_values<X>(M * K, 4);
  for (const Cpu& isa : available_cpus()) {
    use_cpu(isa);
    CAPTURE(name(isa));
    std::vector<f32> together(static_cast<std::size_t>(M * N)), again(together), alone(static_cast<std::size_t>(N));
    matmul(serial, Problem<X, Packed<E>, f32>{x.data(), K, &w.packed, together.data(), N, M});
    matmul(parallel, Problem<X, Packed<E>, f32>{x.data(), K, &w.packed, again.data(), N, M});
    CHECK(together == again);
    for (const index_t m : {0, 1, 5, 6, 7, 100, 251, 252, 253, 296, 297, 298, 299, 300}) {
      matmul(parallel, Problem<X, Packed<E>, f32>{x.data() + m * K, K, &w.packed, alone.data(), N, 1});
      CHECK(std::equal(alone.begin(), alone.end(), together.begin() + m * N));
    }
  }
}
}  // namespace

TEST_CASE("matmul.a_row_is_the_same_alone_bitwise") {
  check_rows_alone<bf16, std::int8_t>();
  check_rows_alone<f32, std::int8_t>();
  check_rows_alone<bf16, bf16>();
  check_rows_alone<f32, bf16>();
  check_rows_alone<f32, f32>();
}

TEST_CASE("matmul.column_shards_are_the_same_bitwise") {
  const RestoreCpu restore;
  ThreadPool pool(2);
  const index_t K = 300, N = 90, M = 9;
  const auto values = normal_values<bf16>(K * N, 5);
  const auto x = normal_values<bf16>(M * K, 6);
  const auto* const data = reinterpret_cast<const std::byte*>(values.data());
  const auto whole = pack<bf16>(pool, Source<bf16>{data, N * 2}, K, N),
             part = pack<bf16>(pool, Source<bf16>{data + 45 * 2, N * 2}, K, 45);
  for (const Cpu& isa : available_cpus()) {
    use_cpu(isa);
    std::vector<f32> y(static_cast<std::size_t>(M * N)), shard(y);
    matmul(pool, Problem<bf16, PackedBf16, f32>{x.data(), K, &whole, y.data(), N, M});
    matmul(pool, Problem<bf16, PackedBf16, f32>{x.data(), K, &part, shard.data() + 45, N, M});  // ldy = N
    for (index_t m = 0; m < M; ++m)
      for (index_t n = 45; n < N; ++n) REQUIRE(at(y, m * N + n) == at(shard, m * N + n));
  }
}

TEST_CASE("matmul.batch_of_problems_of_different_sizes") {
  const RestoreCpu restore;
  ThreadPool pool(2);
  const index_t K = 130, N = 70, tokens = 12;
  const auto x = normal_values<bf16>(tokens * K, 7);
  std::vector<Weight<std::int8_t>> experts;
  for (unsigned e = 0; e < 3; ++e) experts.push_back(make_weight<std::int8_t>(pool, K, N, 50, e));
  const index_t first[] = {0, 3, 3, 12};  // rows of x for each expert; none for the second
  for (const Cpu& isa : available_cpus()) {
    use_cpu(isa);
    std::vector<std::vector<f32>> y(3);
    std::vector<Problem<bf16, PackedQ8, f32>> problems;
    for (std::size_t e = 0; e < 3; ++e) {
      const index_t rows = first[e + 1] - first[e];
      y[e].resize(static_cast<std::size_t>(rows * N));
      problems.push_back({x.data() + first[e] * K, K, &experts[e].packed, y[e].data(), N, rows});
    }
    matmul(pool, std::span<const Problem<bf16, PackedQ8, f32>>(problems));
    for (std::size_t e = 0; e < 3; ++e)
      for (index_t r = first[e]; r < first[e + 1]; ++r) {
        std::vector<f32> alone(static_cast<std::size_t>(N));
        matmul(pool, Problem<bf16, PackedQ8, f32>{x.data() + r * K, K, &experts[e].packed, alone.data(), N, 1});
        CHECK(std::equal(alone.begin(), alone.end(), y[e].begin() + (r - first[e]) * N));
      }
  }
}

namespace {
template <class X, class E>
void check_not_finite() {
  const RestoreCpu restore;
  ThreadPool pool(2);
  const index_t K = 300, N = 40, M = 9;
  const auto w = make_weight<E>(pool, K, N, 128);
  for (const f32 bad : {std::numeric_limits<f32>::quiet_NaN(), std::numeric_limits<f32>::infinity(),
                        -std::numeric_limits<f32>::infinity()}) {
    auto x = normal_values<X>(M * K, 8);
    at(x, 4 * K + 299) = static_cast<X>(bad);
    for (const Cpu& isa : available_cpus()) {
      use_cpu(isa);
      CAPTURE(name(isa));
      std::vector<f32> y(static_cast<std::size_t>(M * N));
      matmul(pool, Problem<X, Packed<E>, f32>{x.data(), K, &w.packed, y.data(), N, M});
      for (index_t m = 0; m < M; ++m)
        for (index_t n = 0; n < N; ++n) {
          if (at(w.value, 299 * N + n) == 0.0) continue;
          REQUIRE(std::isfinite(at(y, m * N + n)) == (m != 4));
        }
    }
  }
}
}  // namespace

TEST_CASE("matmul.nan_and_infinity_show_in_their_row_only") {
  check_not_finite<bf16, std::int8_t>();
  check_not_finite<f32, std::int8_t>();
  check_not_finite<bf16, bf16>();
  check_not_finite<f32, bf16>();
  check_not_finite<f32, f32>();
}

TEST_CASE("matmul.zero_and_tiny_and_huge_activations") {
  const RestoreCpu restore;
  ThreadPool pool(1);
  const index_t K = 64, N = 3;
  const auto w = make_weight<std::int8_t>(pool, K, N, K);
  for (const Cpu& isa : available_cpus()) {
    use_cpu(isa);
    const std::vector<f32> zero(static_cast<std::size_t>(K));
    std::vector<f32> y(static_cast<std::size_t>(N), 1.0f);
    matmul(pool, Problem<f32, PackedQ8, f32>{zero.data(), K, &w.packed, y.data(), N, 1});
    CHECK(y == std::vector<f32>(static_cast<std::size_t>(N)));
    for (const f32 factor : {1e-30f, 1e30f}) {
      auto x = normal_values<f32>(K, 9);
      for (f32& value : x) value *= factor;
      CHECK(error_of<f32, std::int8_t, f32>(pool, w, x, 1) < 1e-4);
    }
  }
}

TEST_CASE("matmul.empty_problems_and_wrong_sizes") {
  ThreadPool pool(1);
  const auto w = make_weight<f32>(pool, 8, 4, 8), other = make_weight<f32>(pool, 8, 5, 8);
  std::vector<f32> x(16), y(16);
  using P = Problem<f32, PackedF32, f32>;
  matmul(pool, std::span<const P>());
  matmul(pool, P{x.data(), 8, &w.packed, y.data(), 4, 0});
  CHECK_THROWS_AS(matmul(pool, P{x.data(), 7, &w.packed, y.data(), 4, 1}), Error);
  CHECK_THROWS_AS(matmul(pool, P{x.data(), 8, &w.packed, y.data(), 3, 1}), Error);
  CHECK_THROWS_AS(matmul(pool, P{x.data(), 8, nullptr, y.data(), 4, 1}), Error);
  const P mixed[] = {{x.data(), 8, &w.packed, y.data(), 5, 1}, {x.data(), 8, &other.packed, y.data(), 5, 1}};
  CHECK_THROWS_AS(matmul(pool, std::span<const P>(mixed)), Error);
}
