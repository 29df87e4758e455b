// tile_product: all types on both kernels against float64; heads, experts, groups of any length, parts of K.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/device/cuda/owned_weights.hpp>
#include <tess/device/cuda/tile_gated_product.hpp>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

using namespace tess;
using namespace tess::cuda;

namespace {

/// What there is to multiply.
struct Case {
  index_t K, N, rows;
  index_t group_rows = 1 << 20, first_group_offset = 0;
  index_t heads = 1;
  std::vector<i32> offsets{};  // of experts: then `heads` does not count
  Terms terms = Terms::two;
  index_t pad = 0;  // elements between rows of x and of y
};

template <class T>
std::shared_ptr<T> on_gpu(Gpu& gpu, const std::vector<T>& values) {
  auto memory = gpu.scratch<T>(static_cast<index_t>(values.size()));
  gpu.upload(memory.get(), values.data(), static_cast<index_t>(values.size() * sizeof(T)));
  return memory;
}

template <class T>
std::vector<T> random_values(index_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<f32> normal;
  std::vector<T> values(static_cast<std::size_t>(count));
  for (T& v : values)
    if constexpr (std::is_same_v<T, std::int8_t>) v = static_cast<T>(static_cast<int>(random() % 256) - 128);
    else v = static_cast<T>(normal(random));
  return values;
}

template <class T>
auto& at(T& values, index_t i) {
  return values[static_cast<std::size_t>(i)];
}

/// Weights on the GPU, and the same numbers in float64, [count, K, N].
template <class W>
struct Made;
template <class E>
struct Made<Weights<E>> {
  OwnedWeights<E> owned;
  std::vector<f64> values;
  Made(Gpu& gpu, const Case& c, index_t count)
      : owned(blank_weights<E>(gpu, count, c.K, c.N, false, c.group_rows, c.first_group_offset)) {
    const Weights<E>& w = owned.view;
    const auto elements = random_values<E>(count * c.K * w.pitch, 1);
    std::vector<E> padded(elements.size());
    std::vector<bf16> scales(static_cast<std::size_t>(count * w.groups * w.scale_pitch));
    for (bf16& s : scales)
      s = bf16(0.005f +
               1e-5f * static_cast<f32>(values.size() + static_cast<std::size_t>(&s - scales.data()) * 7919 % 1000));
    for (index_t i = 0; i < count; ++i)
      for (index_t k = 0; k < c.K; ++k)
        for (index_t n = 0; n < c.N; ++n) {
          const E v = at(padded, (i * c.K + k) * w.pitch + n) = at(elements, (i * c.K + k) * w.pitch + n);
          f64 scale = 1;
          if constexpr (Weights<E>::has_scales) scale = at(scales, (i * w.groups + w.group_of(k)) * w.scale_pitch + n);
          values.push_back(static_cast<f64>(static_cast<f32>(v)) * scale);
        }
    gpu.upload(owned.elements.get(), padded.data(), static_cast<index_t>(padded.size() * sizeof(E)));
    if (!scales.empty())
      gpu.upload(owned.scales.get(), scales.data(), static_cast<index_t>(scales.size() * sizeof(bf16)));
  }
  const Weights<E>& view() const { return owned.view; }
};
template <>
struct Made<EmbeddingRows> {
  std::shared_ptr<bf16> memory;
  EmbeddingRows rows;
  std::vector<f64> values;
  Made(Gpu& gpu, const Case& c, index_t) {
    rows.vocabulary = c.N, rows.width = c.K, rows.pitch = ceil_div(c.K, 8) * 8;
    std::vector<bf16> padded(static_cast<std::size_t>(c.N * rows.pitch));
    values.resize(static_cast<std::size_t>(c.N * c.K));
    const auto elements = random_values<bf16>(c.N * c.K, 1);
    for (index_t n = 0; n < c.N; ++n)
      for (index_t k = 0; k < c.K; ++k) {
        at(padded, n * rows.pitch + k) = at(elements, n * c.K + k);
        at(values, k * c.N + n) = static_cast<f32>(at(elements, n * c.K + k));
      }
    memory = on_gpu(gpu, padded);
    rows.rounded = memory.get();
  }
  const EmbeddingRows& view() const { return rows; }
};

/// Root mean square of the error against float64, relative to that of y. What must not be written is not.
template <class X, class W, class Y>
f64 error_of(const Case& c) {
  Gpu gpu(0);
  const bool grouped = !c.offsets.empty();
  const index_t count = grouped ? static_cast<index_t>(c.offsets.size()) - 1 : c.heads, heads = grouped ? 1 : count;
  const index_t ldx = heads * c.K + c.pad, ldy = heads * c.N + c.pad;
  const f32 nan = std::numeric_limits<f32>::quiet_NaN();
  const Made<W> w(gpu, c, count);
  std::vector<X> x(static_cast<std::size_t>(c.rows * ldx), static_cast<X>(nan));
  const auto numbers = random_values<X>(c.rows * heads * c.K, 2);
  const index_t there = grouped ? c.offsets.back() : c.rows;  // rows beyond are NaN and stay so
  for (index_t r = 0; r < there; ++r)
    for (index_t k = 0; k < heads * c.K; ++k) at(x, r * ldx + k) = at(numbers, r * heads * c.K + k);
  std::vector<Y> y(static_cast<std::size_t>(c.rows * ldy), static_cast<Y>(nan));
  const auto x_there = on_gpu(gpu, x);
  const auto y_there = on_gpu(gpu, y);
  const auto offsets = on_gpu(gpu, c.offsets);
  Product<X, W, Y> p;
  p.x = x_there.get(), p.ldx = ldx, p.x_step = grouped ? 0 : c.K;
  p.w = w.view();
  p.y = y_there.get(), p.ldy = ldy, p.y_step = grouped ? 0 : c.N;
  p.rows = c.rows, p.offsets = grouped ? offsets.get() : nullptr, p.terms = c.terms;
  tile_product(gpu, p);
  gpu.download(y.data(), y_there.get(), static_cast<index_t>(y.size() * sizeof(Y)));

  f64 error = 0, norm = 1e-300;
  index_t untouched = 0;
  for (index_t r = 0; r < c.rows; ++r)
    for (index_t n = 0; n < ldy; ++n) {
      const f64 found = static_cast<f64>(static_cast<f32>(at(y, r * ldy + n)));
      if (r >= there || n >= heads * c.N) {
        untouched += found != found;
        continue;
      }
      index_t matrix = n / std::max<index_t>(c.N, 1);
      if (grouped)
        for (matrix = 0; at(c.offsets, matrix + 1) <= r;) ++matrix;
      f64 sum = 0;
      for (index_t k = 0; k < c.K; ++k) {
        f32 value = static_cast<f32>(at(x, r * ldx + (grouped ? 0 : matrix * c.K) + k));
        if (c.terms == Terms::one) value = bf16(value);
        sum += static_cast<f64>(value) * at(w.values, (matrix * c.K + k) * c.N + n % c.N);
      }
      error += (found - sum) * (found - sum), norm += sum * sum;
    }
  CHECK(untouched == (c.rows - there) * ldy + there * c.pad);
  return std::sqrt(error / norm);
}

/// On every GPU that there is to run on.
template <class F>
void on_every_gpu(F f) {
#ifdef TESS_EMULATED_ISA
  for (const int capability : {80, 90}) {
    CAPTURE(capability);
    emulation::set_devices(1, capability);
    f();
  }
  emulation::set_devices(1);
#else
  f();
#endif
}

template <class X, class W, class Y>
void check_case(const Case& c) {
  CAPTURE(c.K);
  CAPTURE(c.N);
  CAPTURE(c.rows);
  const bool two = std::is_same_v<X, f32> && c.terms == Terms::two;
  on_every_gpu([&] { CHECK(error_of<X, W, Y>(c) < (std::is_same_v<Y, bf16> ? 3e-3 : two ? 1e-5 : 2e-6)); });
}

using Bf16 = Weights<bf16>;
using Int8 = Weights<std::int8_t>;

}  // namespace

TEST_CASE("tile_product.every_type_of_activations_weights_and_results") {
  const Case even{.K = 64, .N = 128, .rows = 128}, odd{.K = 75, .N = 141, .rows = 71, .pad = 3};
  for (const Case& c : {even, odd}) {
    check_case<f32, Bf16, f32>(c);
    check_case<f32, Int8, f32>(c);
    check_case<bf16, Bf16, bf16>(c);
    check_case<bf16, Int8, f32>(c);
    check_case<f32, Int8, bf16>(c);
    check_case<f32, EmbeddingRows, f32>(c);
    check_case<bf16, EmbeddingRows, bf16>(c);
  }
}

TEST_CASE("tile_product.one_term_rounds_activations_to_bf16") {
  for (const Case& c : {Case{.K = 96, .N = 40, .rows = 70, .terms = Terms::one},
                        Case{.K = 33, .N = 300, .rows = 130, .terms = Terms::one}}) {
    check_case<f32, Bf16, f32>(c);
    check_case<f32, Int8, f32>(c);
    check_case<f32, EmbeddingRows, f32>(c);
  }
}

TEST_CASE("tile_product.extents_of_nothing_and_of_one") {
  for (const Case& c :
       {Case{.K = 1, .N = 1, .rows = 1}, Case{.K = 0, .N = 5, .rows = 3}, Case{.K = 5, .N = 0, .rows = 3},
        Case{.K = 5, .N = 3, .rows = 0}, Case{.K = 8, .N = 9, .rows = 65}}) {
    check_case<f32, Bf16, f32>(c);
    check_case<f32, Int8, f32>(c);
    check_case<bf16, EmbeddingRows, f32>(c);
  }
}

TEST_CASE("tile_product.groups_of_scales_of_any_length") {
  for (const Case& c :
       {Case{.K = 128, .N = 130, .rows = 66, .group_rows = 64}, Case{.K = 140, .N = 33, .rows = 70, .group_rows = 12},
        Case{.K = 100, .N = 20, .rows = 33, .group_rows = 1},
        Case{.K = 97, .N = 24, .rows = 40, .group_rows = 40, .first_group_offset = 23},
        Case{.K = 96, .N = 256, .rows = 20, .group_rows = 32, .terms = Terms::one}}) {
    CAPTURE(c.group_rows);
    check_case<f32, Int8, f32>(c);
  }
  check_case<bf16, Int8, bf16>({.K = 70, .N = 36, .rows = 65, .group_rows = 7, .first_group_offset = 3, .pad = 1});
}

TEST_CASE("tile_product.parts_of_k_where_tiles_are_few") {
  for (const Case& c :
       {Case{.K = 1100, .N = 70, .rows = 50, .pad = 1}, Case{.K = 2050, .N = 9, .rows = 20, .group_rows = 100}}) {
    check_case<f32, Int8, f32>(c);
    check_case<f32, Int8, bf16>(c);
  }
  check_case<f32, Bf16, f32>({.K = 1030, .N = 20, .rows = 20});
  check_case<f32, Bf16, bf16>({.K = 1030, .N = 20, .rows = 20, .heads = 2, .pad = 2});
}

TEST_CASE("tile_product.heads_lie_side_by_side") {
  const Case c{.K = 36, .N = 20, .rows = 70, .heads = 3};
  check_case<f32, Bf16, f32>(c);
  check_case<bf16, Bf16, f32>(c);
  check_case<f32, Int8, bf16>(c);
}

TEST_CASE("tile_product.experts_have_as_many_rows_as_the_gpu_says") {
  // None; a few; more than a tile; no expert at all; and rows beyond the last expert's, which are not touched.
  for (const std::vector<i32>& offsets :
       {std::vector<i32>{0, 3, 3, 140, 141}, {0, 0, 0, 0}, {0, 0, 70}, {0, 64, 128}}) {
    const Case c{.K = 70, .N = 270, .rows = 145, .offsets = offsets, .pad = 1};
    check_case<f32, Bf16, f32>(c);
    check_case<f32, Int8, f32>(c);
  }
  check_case<bf16, Int8, bf16>({.K = 64, .N = 64, .rows = 400, .offsets = {0, 150, 400}});
  check_case<f32, Int8, f32>({.K = 64, .N = 32, .rows = 90, .group_rows = 24, .offsets = {0, 20, 90}});
}

namespace {
struct ProductOfBoth {
  constexpr f32 operator()(f32 gate, f32 up) const { return (gate + 1) * up; }
};

/// f(x · gate, x · up) in one kernel is f of two products, bit for bit.
template <class E>
void check_gated(const Case& c) {
  CAPTURE(c.rows);
  Gpu gpu(0);
  if (gpu.capability() != 90) return;
  const index_t count = c.offsets.empty() ? 1 : static_cast<index_t>(c.offsets.size()) - 1;
  const Made<Weights<E>> gate(gpu, c, count);
  auto up = blank_weights<E>(gpu, count, c.K, c.N, false, c.group_rows);
  const auto elements = random_values<E>(count * c.K * up.view.pitch, 7);
  gpu.upload(up.elements.get(), elements.data(), static_cast<index_t>(elements.size() * sizeof(E)));
  const std::vector<bf16> scales(static_cast<std::size_t>(count * up.view.groups * up.view.scale_pitch), bf16(0.01f));
  if (up.scales) gpu.upload(up.scales.get(), scales.data(), static_cast<index_t>(scales.size() * sizeof(bf16)));
  const auto x = on_gpu(gpu, random_values<f32>(c.rows * c.K, 3));
  const auto offsets = on_gpu(gpu, c.offsets);
  const auto size = static_cast<std::size_t>(c.rows * c.N);
  const std::vector<f32> blank(size, -77.0f);
  const auto fused = on_gpu(gpu, blank), first = on_gpu(gpu, blank), second = on_gpu(gpu, blank);
  Product<f32, Weights<E>, f32> p;
  p.x = x.get(), p.ldx = c.K, p.w = gate.view(), p.ldy = c.N, p.rows = c.rows, p.terms = c.terms;
  p.offsets = c.offsets.empty() ? nullptr : offsets.get();
  p.y = fused.get();
  REQUIRE(tile_gated_product(gpu, p, up.view, ProductOfBoth{}));
  p.y = first.get(), tile_product(gpu, p);
  p.y = second.get(), p.w = up.view, tile_product(gpu, p);
  std::vector<f32> found(size), a(size), b(size);
  gpu.download(found.data(), fused.get(), static_cast<index_t>(size * 4));
  gpu.download(a.data(), first.get(), static_cast<index_t>(size * 4));
  gpu.download(b.data(), second.get(), static_cast<index_t>(size * 4));
  f64 error = 0, norm = 1e-300;  // another order of sums where cuBLASLt makes the two
  for (std::size_t i = 0; i < size; ++i) {
    const bool there = c.offsets.empty() || static_cast<index_t>(i) / c.N < c.offsets.back();
    const f64 expected = there ? ProductOfBoth{}(a[i], b[i]) : -77.0f;
    error += (found[i] - expected) * (found[i] - expected), norm += expected * expected;
  }
  CHECK(std::sqrt(error / norm) < 1e-6);
}
}  // namespace

TEST_CASE("tile_product.gate_and_up_in_one_kernel") {
  for (const Terms terms : {Terms::one, Terms::two}) {
    const Case rows_of_experts{.K = 70, .N = 150, .rows = 200, .offsets = {0, 130, 130, 190}, .terms = terms};
    const Case few_rows_of_experts{.K = 64, .N = 128, .rows = 80, .offsets = {0, 3, 75}, .terms = terms};
    for (const Case& c : {rows_of_experts, few_rows_of_experts}) check_gated<std::int8_t>(c), check_gated<bf16>(c);
  }
#ifdef TESS_EMULATED_ISA  // four multiprocessors: this fills them
  check_gated<std::int8_t>({.K = 130, .N = 500, .rows = 40});
#endif
}

TEST_CASE("tile_product.a_row_depends_on_its_own_activations_alone") {
  on_every_gpu([] {
    Gpu gpu(0);
    const Case c{.K = 80, .N = 48, .rows = 100};
    const Made<Int8> w(gpu, c, 1);
    auto x = random_values<f32>(c.rows * c.K, 3);
    const auto multiply = [&] {
      const auto from = on_gpu(gpu, x);
      const auto to = gpu.scratch<f32>(c.rows * c.N);
      Product<f32, Int8, f32> p;
      p.x = from.get(), p.ldx = c.K, p.w = w.view(), p.y = to.get(), p.ldy = c.N, p.rows = c.rows;
      tile_product(gpu, p);
      std::vector<f32> y(static_cast<std::size_t>(c.rows * c.N));
      gpu.download(y.data(), to.get(), c.rows * c.N * 4);
      return y;
    };
    const auto before = multiply();
    at(x, 40 * c.K + 3) = std::numeric_limits<f32>::infinity(), at(x, 41 * c.K) = std::numeric_limits<f32>::quiet_NaN();
    const auto after = multiply();
    index_t same = 0, finite = 0;
    for (index_t r = 0; r < c.rows; ++r)
      for (index_t n = 0; n < c.N; ++n) {
        if (r == 40 || r == 41) finite += std::isfinite(at(after, r * c.N + n));
        else same += at(after, r * c.N + n) == at(before, r * c.N + n);
      }
    CHECK(same == (c.rows - 2) * c.N);
    CHECK(finite == 0);
  });
}
